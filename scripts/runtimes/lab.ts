/**
 * What the cells of the matrix share: the tarball, projects that have it installed, bundles, databases, and
 * the values that runtimes exchange. All of it is made once, when it is first asked for.
 *
 * @module
 */
import type { GuardedDirectory } from "../lib/guarded_directory.ts";
import { DRIZZLE_LINES, NPM_NAME, type NpmManifest } from "../lib/npm_manifest.ts";
import { buildNpmPackage, packNpmPackage } from "../lib/npm_package.ts";
import { join, repository } from "../lib/paths.ts";
import { bundle } from "./bundle.ts";
import { createProject, installedVersion } from "./npm_project.ts";

/** A line of Drizzle. */
export type DrizzleLine = typeof DRIZZLE_LINES[number]["name"];

/** Packages that the suites need besides Drizzle. */
const DRIVERS = {
  "@electric-sql/pglite": "^0.5.16",
  "@neondatabase/serverless": "^1.2.0",
  "pg": "^8.23.0",
  "postgres": "^3.4.9",
  "ws": "^8.18.0",
  // For the compiler alone.
  "@types/node": "^22.0.0",
  "@types/pg": "^8.23.0",
};

const DRIVER_MODULES = [
  "bun_sql",
  "neon_http",
  "neon_serverless",
  "node_postgres",
  "pglite",
  "postgres_js",
];

/** The directory of the runners. */
export const runners: string = join(repository, "tests/runtimes");

/** A job of the runner that does nothing yet; see `tests/runtimes/run.ts`. */
export const suiteJob = { writer: "", drivers: [], url: "", platform: false, exchangeUrl: "" };

/** A project with the tarball and a line of Drizzle. */
export interface LineProject {
  readonly directory: string;
  /** Version of Drizzle. */
  readonly drizzle: string;
  /** The runner, bundled. */
  readonly runner: string;
}

/** See above. */
export class Lab {
  readonly #projects = new Map<DrizzleLine, Promise<LineProject>>();
  #package: Promise<{ tarball: string; manifest: NpmManifest; compiler: string }> | undefined;
  /** URL of the database that has one row of each runtime. */
  exchangeUrl = "";
  /** Names of the runtimes that wrote a row there. */
  readonly rows: string[] = [];
  /** Values that runtimes wrote, by the name of the runtime. */
  readonly values: Record<string, Record<string, string>> = {};

  /**
   * @param directory Where everything is made.
   * @param createDatabase Creates an empty database and returns its URL.
   */
  constructor(
    readonly directory: GuardedDirectory,
    readonly createDatabase: () => Promise<string>,
  ) {}

  /** The package, built and packed. */
  package(): Promise<{ tarball: string; manifest: NpmManifest; compiler: string }> {
    return this.#package ??= (async () => {
      const { directory, manifest, compiler } = await buildNpmPackage(this.path("package"));
      return { tarball: await packNpmPackage(directory, this.path("tarball")), manifest, compiler };
    })();
  }

  /** A path in the temporary directory. */
  path(...names: string[]): string {
    return join(this.directory.path, ...names);
  }

  /** The project of a line, with the suites bundled for it. */
  project(line: DrizzleLine): Promise<LineProject> {
    const known = this.#projects.get(line);
    if (known !== undefined) return known;
    const project = this.#createProject(line);
    this.#projects.set(line, project);
    return project;
  }

  async #createProject(line: DrizzleLine): Promise<LineProject> {
    const { tarball } = await this.package();
    const directory = this.path(`drizzle-${line}`);
    const { install } = DRIZZLE_LINES.find(({ name }) => name === line)!;
    await createProject(directory, {
      [NPM_NAME]: `file:${tarball}`,
      "drizzle-orm": install,
      ...DRIVERS,
    });
    const outDir = join(directory, "conformance");
    await bundle({
      entries: {
        run: join(runners, "run.ts"),
        ...Object.fromEntries(
          DRIVER_MODULES.map((name) => [`drivers/${name}`, join(runners, `drivers/${name}.ts`)]),
        ),
      },
      outDir,
      packages: "external",
      drizzleLine: line === "1.0" ? "1" : "0",
    });
    return {
      directory,
      drizzle: await installedVersion(directory, "drizzle-orm"),
      runner: join(outDir, "run.js"),
    };
  }
}

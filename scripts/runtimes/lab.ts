/**
 * What the cells of the matrix share: the tarball, projects that have it installed, bundles, databases, and
 * the values that runtimes exchange. All of it is made once, when it is first asked for.
 *
 * @module
 */
import type { GuardedDirectory } from "../lib/guarded_directory.ts";
import {
  DRIVERS,
  DRIZZLE_LINES,
  NPM_NAME,
  type NpmManifest,
  TYPE_PACKAGES,
} from "../lib/npm_manifest.ts";
import { buildNpmPackage, packNpmPackage } from "../lib/npm_package.ts";
import { join, repository } from "../lib/paths.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { bundle } from "./bundle.ts";
import { createProject, installedVersion } from "./npm_project.ts";

/** A line of Drizzle. */
export type DrizzleLine = typeof DRIZZLE_LINES[number]["name"];

/** Packages that the suites need besides Drizzle: the newest versions of the drivers. */
const PACKAGES = {
  ...Object.fromEntries(Object.entries(DRIVERS).map(([name, { below }]) => [name, `<${below}`])),
  "ws": "8.23.0",
  ...TYPE_PACKAGES,
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

/** Packages by their versions. */
export type Install = Readonly<Record<string, string>>;

/** What in the repository is not its source. */
const MADE = new Set([".git", ".cache", "node_modules", "npm", "coverage"]);

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
  readonly #projects = new Map<string, Promise<LineProject>>();
  #sources: Promise<string> | undefined;
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

  /**
   * The project of a line, with the suites bundled for it.
   *
   * @param install Packages in other versions than the newest.
   */
  project(line: DrizzleLine, install: Install = {}): Promise<LineProject> {
    const name = [line, ...Object.entries(install).flat()].join("-").replaceAll(/[^\w.]+/g, "-");
    let project = this.#projects.get(name);
    if (project === undefined) {
      project = this.#createProject(`drizzle-${name}`, line, install);
      this.#projects.set(name, project);
    }
    return project;
  }

  /** A copy of the sources, for a Deno that is not the one which installed the repository's packages. */
  sources(): Promise<string> {
    return this.#sources ??= (async () => {
      const directory = this.path("sources");
      await Deno.mkdir(directory);
      for await (const { name } of Deno.readDir(repository)) {
        if (MADE.has(name)) continue;
        await runInDirectory(repository, "cp", ["-R", name, directory]);
      }
      return directory;
    })();
  }

  async #createProject(name: string, line: DrizzleLine, packages: Install): Promise<LineProject> {
    const { tarball } = await this.package();
    const directory = this.path(name);
    const { install } = DRIZZLE_LINES.find(({ name }) => name === line)!;
    await createProject(directory, {
      [NPM_NAME]: `file:${tarball}`,
      "drizzle-orm": install,
      ...PACKAGES,
      ...packages,
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

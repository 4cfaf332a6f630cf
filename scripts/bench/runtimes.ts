/**
 * How the contestants are started on each runtime.
 *
 * @module
 */
import type { GuardedDirectory } from "../../tools/guarded_directory.ts";
import { NPM_NAME } from "../../tools/npm/manifest.ts";
import { buildNpmPackage, packNpmPackage } from "../../tools/npm/package.ts";
import { join, repository } from "../../tools/paths.ts";
import { createProject, installedVersion } from "../../tools/npm/project.ts";
import { bunProgram, denoProgram, nodeProgram, type Program } from "../../tools/npm/programs.ts";
import type { RuntimeName } from "./arguments.ts";
import { bundleContestants } from "./bundle.ts";
import type { Contestant } from "./rows.ts";

/** A command that is ready to be started. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
}

/** Versions of what the original asks for. */
const ORIGINAL = {
  [NPM_NAME]: "0.1.0",
  "@weissaufschwarz/mitthooks": "0.3.0",
  "drizzle-orm": "0.44.7",
} as const;

/** Contestants by the project that they need. */
const PROGRAMS = {
  ours: ["ours", "floor", "drizzle", "cold_ours", "reencrypt"],
  original: ["original", "cold_original"],
} as const satisfies Record<string, readonly Contestant["program"][]>;

/** The projects, made when they are first needed, and the runtimes. */
export class Runtimes {
  readonly #directory: GuardedDirectory;
  #ours: Promise<string> | undefined;
  #original: Promise<string> | undefined;

  constructor(directory: GuardedDirectory) {
    this.#directory = directory;
  }

  /** The program of a runtime. */
  program(name: RuntimeName): Promise<Program> {
    switch (name) {
      case "deno":
        return Promise.resolve(denoProgram());
      case "node20":
        return nodeProgram(20);
      case "node24":
        return nodeProgram(24);
      case "bun":
        return bunProgram();
    }
  }

  /** How to start a contestant: on every runtime from a project that has its packages from npm. */
  async command(name: RuntimeName, program: Contestant["program"]): Promise<Command> {
    const { path } = await this.program(name);
    const ofOriginal = PROGRAMS.original.some((other) => other === program);
    const project = await (ofOriginal ? this.#originalProject() : this.#ourProject());
    const deno = name === "deno" ? ["run", "-A", "--quiet"] : [];
    return { command: path, args: [...deno, join(project, `bench/${program}.js`)], cwd: project };
  }

  /** Versions of the packages that are compared. */
  async versions(): Promise<Record<string, string>> {
    const manifest = JSON.parse(await Deno.readTextFile(join(repository, "deno.json")));
    return {
      [manifest.name]: manifest.version,
      "drizzle-orm": await installedVersion(repository, "drizzle-orm"),
      pg: await installedVersion(repository, "pg"),
      ...Object.fromEntries(
        Object.entries(ORIGINAL).map(([name, version]) => [`the original's ${name}`, version]),
      ),
    };
  }

  #ourProject(): Promise<string> {
    return this.#ours ??= (async () => {
      const built = await buildNpmPackage(join(this.#directory.path, "package"));
      const tarball = await packNpmPackage(
        built.directory,
        join(this.#directory.path, "tarball"),
      );
      return await this.#project("ours", {
        [NPM_NAME]: `file:${tarball}`,
        "drizzle-orm": await installedVersion(repository, "drizzle-orm"),
      });
    })();
  }

  #originalProject(): Promise<string> {
    return this.#original ??= this.#project("original", ORIGINAL);
  }

  async #project(
    name: keyof typeof PROGRAMS,
    packages: Readonly<Record<string, string>>,
  ): Promise<string> {
    const project = join(this.#directory.path, name);
    // The same driver for all.
    const pg = await installedVersion(repository, "pg");
    await createProject(project, { ...packages, pg });
    await bundleContestants(PROGRAMS[name], join(project, "bench"));
    return project;
  }
}

/**
 * Resources shared by targets, each created once on first use.
 *
 * @module
 */
import { DRIVERS, DRIZZLE_LINES, NPM_NAME, TYPE_PACKAGES } from "../npm/manifest.ts";
import { buildNpmPackage, packNpmPackage } from "../npm/package.ts";
import { join } from "../paths.ts";
import { createDatabase } from "../postgres/databases.ts";
import { createProject, type Dependencies } from "../npm/project.ts";
import type { TemporaryDirectory } from "../temporary_directory.ts";

/** A line of Drizzle. */
export type DrizzleLine = typeof DRIZZLE_LINES[number]["name"];

/** The newest versions of the drivers. */
export const NEWEST_DRIVERS: Dependencies = Object.fromEntries(
  Object.entries(DRIVERS).map(([name, { below }]) => [name, `<${below}`]),
);

/** The shared resources of a run. */
export class Shared {
  readonly #made = new Map<string, Promise<unknown>>();

  /**
   * @param directory The directory for all of them.
   * @param everyday Whether to omit slow cases.
   */
  constructor(readonly directory: TemporaryDirectory, readonly everyday: boolean) {}

  /** A path in the temporary directory. */
  path(...names: string[]): string {
    return join(this.directory.path, ...names);
  }

  /** Creates something once. */
  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    if (!this.#made.has(name)) this.#made.set(name, make());
    return this.#made.get(name) as Promise<T>;
  }

  /** URL of a new, empty database. */
  async database(): Promise<string> {
    return (await createDatabase()).url;
  }

  /** Path of the package's tarball. */
  tarball(): Promise<string> {
    return this.once("package", async () => {
      const { directory, manifest, compiler } = await buildNpmPackage(this.path("package"));
      console.log(`${manifest.name}@${manifest.version}, compiled by ${compiler}`);
      return await packNpmPackage(directory, this.path("tarball"));
    });
  }

  /** A project with the tarball, a line of Drizzle and the newest drivers, or given versions. */
  project(line: DrizzleLine, install: Dependencies = {}): Promise<string> {
    const name = ["drizzle", line, ...Object.entries(install).flat()].join("-");
    const directory = this.path(name.replaceAll(/[^\w.]+/g, "-"));
    return this.once(directory, async () => {
      await createProject(directory, {
        [NPM_NAME]: `file:${await this.tarball()}`,
        "drizzle-orm": DRIZZLE_LINES.find(({ name }) => name === line)!.install,
        "ws": "8.23.0",
        ...NEWEST_DRIVERS,
        ...TYPE_PACKAGES,
        ...install,
      });
      return directory;
    });
  }
}

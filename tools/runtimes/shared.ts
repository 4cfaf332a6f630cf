/** Resources shared by targets, each created once on first use. */
import { DRIVERS, DRIZZLE_LINES, NPM_NAME, TYPE_PACKAGES } from "../npm/manifest.ts";
import { npmPackage } from "../npm/package.ts";
import { join } from "../paths.ts";
import { createDatabase } from "../postgres/databases.ts";
import { createProject, type Dependencies } from "../npm/project.ts";
import type { TemporaryDirectory } from "../temporary_directory.ts";

export type DrizzleLine = typeof DRIZZLE_LINES[number]["name"];

const NEWEST_DRIVERS: Dependencies = Object.fromEntries(
  Object.entries(DRIVERS).map(([name, { below }]) => [name, `<${below}`]),
);

export class Shared {
  readonly #made = new Map<string, Promise<unknown>>();

  /**
   * @param directory The directory for all of them.
   * @param everyday Whether to omit slow cases.
   */
  constructor(readonly directory: TemporaryDirectory, readonly everyday: boolean) {}

  path(...names: string[]): string {
    return join(this.directory.path, ...names);
  }

  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    if (!this.#made.has(name)) this.#made.set(name, make());
    return this.#made.get(name) as Promise<T>;
  }

  /** URL of a new, empty database. */
  async database(): Promise<string> {
    return (await createDatabase()).url;
  }

  /** A project with the tarball, a line of Drizzle and the newest drivers, or given versions. */
  project(line: DrizzleLine, install: Dependencies = {}): Promise<string> {
    const name = ["drizzle", line, ...Object.entries(install).flat()].join("-");
    const directory = this.path(name.replaceAll(/[^\w.]+/g, "-"));
    return this.once(directory, async () => {
      await createProject(directory, {
        [NPM_NAME]: `file:${(await npmPackage()).tarball}`,
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

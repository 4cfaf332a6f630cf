/** A second copy of the package, as an application has it when two of its dependencies need different versions. */

import { join, repository } from "../../scripts/lib/paths.ts";

/** A copy in a directory of its own. */
export interface PackageCopy extends AsyncDisposable {
  /** URL of one of its modules. */
  module(path: string): string;
}

/** Copies what the modules of `pg/` are made of. */
export async function copyPackage(): Promise<PackageCopy> {
  const directory = await Deno.makeTempDir();
  for (const entry of ["errors.ts", "internal", "pg"]) {
    await copy(join(repository, entry), `${directory}/${entry}`);
  }
  return {
    module: (path) => new URL(path, `file://${directory}/`).href,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await copy(join(from, name), `${to}/${name}`);
}

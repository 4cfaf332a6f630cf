/** A second copy of the package, as when two dependencies need different versions. */

import { cp } from "node:fs/promises";
import { join, repository, toFileUrl } from "../../tools/paths.ts";

/** A copy in a separate directory. */
export interface PackageCopy extends AsyncDisposable {
  /** URL of one of its modules. */
  module(path: string): string;
}

/**
 * Copies the modules of `pg/` and their imports.
 *
 * @param isOtherVersion Whether it is another version with incompatible encrypted columns.
 */
export async function copyPackage(isOtherVersion = false): Promise<PackageCopy> {
  const directory = await Deno.makeTempDir();
  for (const entry of ["errors.ts", "internal", "pg"]) {
    await cp(join(repository, entry), join(directory, entry), { recursive: true });
  }
  if (isOtherVersion) {
    const path = join(directory, "pg/internal/columns/encrypted_column.ts");
    const text = await Deno.readTextFile(path);
    const altered = text.replace(/const CONTRACT = \d+/, "$&0");
    if (altered === text) throw new Error("Copying the package: it has no contract");
    await Deno.writeTextFile(path, altered);
  }
  return {
    module: (path) => toFileUrl(join(directory, path)).href,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

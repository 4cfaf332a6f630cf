/**
 * Paths, from the platform's own `node:path` and `node:url`: scripts must run where JSR does not answer.
 *
 * @module
 */
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export {
  basename,
  dirname,
  fileURLToPath as fromFileUrl,
  join,
  pathToFileURL as toFileUrl,
  resolve,
};

/** The directory of the repository. */
export const repository: string = fileURLToPath(new URL("../../", import.meta.url));

/** Whether everybody may pass through a directory and all directories above it. */
function isOpenToAll(path: string): boolean {
  for (let directory = resolve(path);; directory = dirname(directory)) {
    if ((Deno.statSync(directory).mode ?? 0) % 2 === 0) return false;
    if (directory === dirname(directory)) return true;
  }
}

/**
 * The directory for temporary files. Where root runs the tests, PostgreSQL runs as another user, who must
 * be able to reach it: a private TMPDIR is passed over then.
 */
export function temporaryRoot(): string {
  const wanted = Deno.env.get("TMPDIR") || "/tmp";
  return Deno.uid() !== 0 || isOpenToAll(wanted) ? wanted : "/tmp";
}

/** Paths, by the platform's own modules: scripts must run where JSR does not answer. */
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
export const repository: string = fileURLToPath(new URL("../", import.meta.url));

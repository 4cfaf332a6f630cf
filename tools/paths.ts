/** Paths, with the platform's modules: scripts must run without JSR. */
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

export const repository: string = fileURLToPath(new URL("../", import.meta.url));

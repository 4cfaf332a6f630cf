/** Paths, with the platform's modules: scripts must run without JSR. */
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export { basename, dirname, join, resolve };
export { fileURLToPath as fromFileUrl, pathToFileURL as toFileUrl };

export const repository: string = fileURLToPath(new URL("../", import.meta.url));

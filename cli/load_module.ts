/** Loads modules of the application. */

import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { describeError, Failure } from "./errors.ts";

/** Loads a module by its path, relative to the working directory. */
export async function loadModule(path: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    const { code } = error as { code?: unknown };
    const found = code === "ERR_UNKNOWN_FILE_EXTENSION" && /\.[mc]?tsx?$/.test(path)
      ? `Node ${process.versions.node} cannot load TypeScript; use Node 22.18 or later, ` +
        "Bun or Deno, or a loader (NODE_OPTIONS='--import tsx'), or compile it to JavaScript"
      : describeError(error);
    throw new Failure(`Loading ${path}: ${found}`);
  }
}

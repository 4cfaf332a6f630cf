/** Loads modules of the application. */

import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { describeError, Failure } from "./failure.ts";

/**
 * Loads a module.
 *
 * @param path Of the module, relative to the working directory.
 * @throws {Failure} It cannot be loaded.
 */
export async function loadModule(path: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(resolve(process.cwd(), path)).href;
  try {
    return await import(url);
  } catch (error) {
    if (
      (error as { code?: unknown }).code === "ERR_UNKNOWN_FILE_EXTENSION" &&
      /\.[mc]?tsx?$/.test(path)
    ) {
      throw new Failure(
        `Loading ${path}: Node ${process.versions.node} cannot load TypeScript; use Node 22.18 or later, ` +
          "Bun or Deno, or a loader (NODE_OPTIONS='--import tsx'), or compile it to JavaScript",
      );
    }
    throw new Failure(`Loading ${path}: ${describeError(error)}`);
  }
}

/** Loads the application's modules. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { describeError, Failure } from "./errors.ts";

type Module = Record<string, unknown>;

/** The part of jiti used here: the loader built into drizzle-kit 1.0. */
interface Jiti {
  import(path: string): Promise<Module>;
}

const TYPESCRIPT = /\.[mc]?tsx?$/;

/**
 * Loads a module by its path, relative to the working directory. On Node.js, TypeScript goes
 * through jiti if it is installed, so imports without extensions, paths of tsconfig.json and enums
 * work. Packages remain Node.js' own modules, so this package exists only once. Bun and Deno need
 * no loader.
 *
 * @throws {Failure} When it cannot be loaded; the message contains a hint.
 */
export async function loadModule(path: string): Promise<Module> {
  if (!existsSync(path)) throw new Failure(`Loading ${path}: there is no such file`);
  const jiti = TYPESCRIPT.test(path) && isNode() ? await loader() : undefined;
  try {
    return await (jiti?.import(resolve(path)) ?? import(pathToFileURL(resolve(path)).href));
  } catch (error) {
    const hint = jiti ? undefined : hintFor(path, error);
    throw new Failure(
      `Loading ${path}: ${[describeError(error), hint].filter(Boolean).join("; ")}`,
    );
  }
}

function isNode(): boolean {
  return !("Deno" in globalThis) && !("Bun" in globalThis);
}

let jiti: Promise<Jiti | undefined> | undefined;

/** One loader for all modules, so that shared imports exist once. */
function loader(): Promise<Jiti | undefined> {
  return jiti ??= (async () => {
    // Not a literal, so that Deno and bundlers do not resolve it.
    const name = "jiti";
    const { createJiti } = await import(name).catch(() => ({})) as {
      createJiti?: (parent: string, options: object) => Jiti;
    };
    // jiti 1, a dependency of other packages, has no such function.
    return createJiti?.(resolve("index.js"), {
      tsconfigPaths: true,
      interopDefault: false,
      // Writes nothing into the application's directory.
      fsCache: false,
    });
  })();
}

/** Node.js' error codes for TypeScript that it cannot load. */
const NEEDS_LOADER = new Set([
  "ERR_IMPORT_ATTRIBUTE_MISSING",
  "ERR_INVALID_TYPESCRIPT_SYNTAX",
  "ERR_MODULE_NOT_FOUND",
  "ERR_UNKNOWN_FILE_EXTENSION",
  "ERR_UNSUPPORTED_DIR_IMPORT",
  "ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING",
  "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX",
  "MODULE_NOT_FOUND",
]);

/** A hint for a module that cannot be loaded. */
function hintFor(path: string, error: unknown): string | undefined {
  const { code } = error as { code?: string };
  if (!TYPESCRIPT.test(path)) return undefined;
  if ("Deno" in globalThis) {
    return code === "ERR_MODULE_NOT_FOUND"
      ? 'Deno ignores the paths of tsconfig.json, put them into "imports" of deno.json'
      : undefined;
  }
  // Imports in a CommonJS module are a syntax error.
  const isSyntax = error instanceof SyntaxError;
  return isNode() && (isSyntax || NEEDS_LOADER.has(code ?? ""))
    ? `Node ${process.versions.node} cannot load TypeScript like drizzle-kit without jiti, ` +
      "run npm install --save-dev jiti"
    : undefined;
}

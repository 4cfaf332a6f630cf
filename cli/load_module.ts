/** Loads modules of the application. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { describeError, Failure } from "./errors.ts";

type Module = Record<string, unknown>;

/** What is used of jiti, the loader that drizzle-kit 1.0 has within itself. */
interface Jiti {
  import(path: string): Promise<Module>;
}

const TYPESCRIPT = /\.[mc]?tsx?$/;

/**
 * Loads a module by its path, relative to the working directory. On Node, TypeScript goes through jiti where it is
 * installed, so that imports without extensions, paths of tsconfig.json and enums work; packages are Node's own
 * modules there, too, so that this package has one copy. Bun and Deno need no loader.
 *
 * @throws {Failure} It cannot be loaded; the message says what helps.
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

/** One for all modules, so that what several of them import is there once. */
function loader(): Promise<Jiti | undefined> {
  return jiti ??= (async () => {
    // Not a literal: Deno and bundlers need not look for it.
    const name = "jiti";
    const { createJiti } = await import(name).catch(() => ({})) as {
      createJiti?: (parent: string, options: object) => Jiti;
    };
    // jiti 1, which others bring along, has no such function.
    return createJiti?.(resolve("index.js"), {
      tsconfigPaths: true,
      interopDefault: false,
      // Nothing is written into the application's directory.
      fsCache: false,
    });
  })();
}

/** What Node says of TypeScript that it cannot load. */
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

/** What helps where a module of the application cannot be loaded as it is. */
function hintFor(path: string, error: unknown): string | undefined {
  const { code } = error as { code?: string };
  if (!TYPESCRIPT.test(path)) return undefined;
  if ("Deno" in globalThis) {
    return code === "ERR_MODULE_NOT_FOUND"
      ? 'to Deno a path of tsconfig.json means nothing, "imports" of deno.json has them'
      : undefined;
  }
  // CommonJS with imports in it fails as the syntax error that it is.
  const isSyntax = error instanceof SyntaxError;
  return isNode() && (isSyntax || NEEDS_LOADER.has(code ?? ""))
    ? `Node ${process.versions.node} cannot load TypeScript as drizzle-kit does without jiti, ` +
      "run npm install --save-dev jiti"
    : undefined;
}

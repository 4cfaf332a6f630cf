/**
 * The modules that an entry point loads, as `deno info` finds them.
 *
 * @module
 */
import { fromFileUrl } from "../lib/paths.ts";
import { runDeno } from "./check.ts";

/** A module of the package. */
export interface LocalModule {
  /** Absolute path. */
  readonly path: string;
  /** What it imports, dynamically and for types, too. */
  readonly imports: readonly { line: number; specifier: string; resolved: string }[];
}

interface InfoResolution {
  readonly specifier?: string;
  readonly error?: string;
  readonly span?: { start: { line: number } };
}

interface Info {
  readonly modules: readonly {
    specifier: string;
    error?: string;
    dependencies?: readonly { specifier: string; code?: InfoResolution; type?: InfoResolution }[];
  }[];
}

/**
 * Walks the graph of several entry points.
 *
 * @param root Directory of the package.
 * @param entries The entry points, relative to it.
 * @returns The package's own modules, each once.
 * @throws {Error} When a module is missing or cannot be parsed.
 */
export async function moduleGraph(
  root: string,
  entries: readonly string[],
): Promise<LocalModule[]> {
  const modules = new Map<string, LocalModule>();
  for (const entry of entries) {
    const { success, stdout, output } = await runDeno(root, ["info", "--json", entry]);
    if (!success) throw new Error(`Walking the modules of ${entry}: deno info failed\n${output}`);
    for (const module of (JSON.parse(stdout) as Info).modules) {
      if (module.error !== undefined) {
        throw new Error(`Walking the modules of ${entry}: ${module.error}`);
      }
      if (!module.specifier.startsWith("file:")) continue;
      const path = fromFileUrl(module.specifier);
      if (path.includes("/node_modules/")) continue;
      modules.set(path, {
        path,
        imports: (module.dependencies ?? []).map(({ specifier, code, type }) => ({
          line: ((code ?? type)?.span?.start.line ?? 0) + 1,
          specifier,
          resolved: (code ?? type)?.specifier ?? specifier,
        })),
      });
    }
  }
  return [...modules.values()];
}

/** The paths of {@linkcode moduleGraph}. */
export async function localModules(root: string, entries: readonly string[]): Promise<string[]> {
  return (await moduleGraph(root, entries)).map(({ path }) => path);
}

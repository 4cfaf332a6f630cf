/**
 * Tests take `@std/assert` and `@std/encoding` from JSR. Where it does not answer, an import map puts
 * small stand-ins in their place.
 *
 * @module
 */
import { join, repository, toFileUrl } from "./paths.ts";

/** Longest time to wait for an answer of JSR, in milliseconds. */
const ANSWER_LIMIT_MS = 3_000;

/** The stand-ins, by the name that tests and scripts import. */
const STAND_INS: Readonly<Record<string, string>> = {
  "@deno/dnt": "tests/support/dnt.ts",
  "@std/assert": "tests/support/std_assert.ts",
  "@std/encoding": "tests/support/std_encoding.ts",
};

/**
 * Asks JSR once.
 *
 * @param base Address of JSR. Default: the variable `JSR_URL`, which Deno respects too, or https://jsr.io.
 * @returns Whether it answers with the metadata of a package.
 */
export async function jsrAnswers(
  base: string = Deno.env.get("JSR_URL") || "https://jsr.io",
): Promise<boolean> {
  try {
    const response = await fetch(`${base.replace(/\/+$/, "")}/@std/assert/meta.json`, {
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    return response.ok && (await response.json()).name === "assert";
  } catch {
    return false;
  }
}

/**
 * Derives the import map with the stand-ins from deno.json.
 *
 * @param manifest The manifest's `name`, `exports` and `imports`.
 * @param root Directory of the manifest.
 * @returns An import map that does not depend on where it lies.
 */
export function standInImportMap(
  manifest: { name?: string; exports?: Record<string, string>; imports?: Record<string, string> },
  root: string = repository,
): { imports: Record<string, string> } {
  const absolute = (path: string) => toFileUrl(join(root, path)).href;
  const imports: Record<string, string> = {};
  // In deno.json, a name covers its subpaths as well; in an import map that takes a second entry.
  for (const [name, target] of Object.entries(manifest.imports ?? {})) {
    imports[name] = /^\.{0,2}\//.test(target) ? absolute(target) : target;
    const npm = /^npm:\/?(.+)$/.exec(target)?.[1];
    if (npm !== undefined && !name.endsWith("/")) imports[`${name}/`] ??= `npm:/${npm}/`;
  }
  for (const [path, target] of Object.entries(manifest.exports ?? {})) {
    imports[`${manifest.name}${path.slice(1)}`] ??= absolute(target);
  }
  for (const [name, target] of Object.entries(STAND_INS)) {
    if (manifest.imports?.[name] !== undefined) imports[name] = absolute(target);
  }
  return { imports };
}

/**
 * Writes an import map with the stand-ins if JSR does not answer, and says so.
 *
 * @param directory Where to write it.
 * @returns Its path, or `undefined` when deno.json serves as it is.
 */
export async function importMapWithoutJsr(directory: string): Promise<string | undefined> {
  if (await jsrAnswers()) return undefined;
  console.log("JSR does not answer: using the stand-ins of tests/support for @std");
  const manifest = JSON.parse(await Deno.readTextFile(join(repository, "deno.json")));
  const path = join(directory, "import_map.json");
  await Deno.writeTextFile(path, JSON.stringify(standInImportMap(manifest), null, 2));
  return path;
}

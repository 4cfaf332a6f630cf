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

/** What is read of deno.json. */
export interface ImportingManifest {
  readonly name?: string;
  readonly exports?: Readonly<Record<string, string>>;
  readonly imports?: Readonly<Record<string, string>>;
}

/**
 * Asks JSR once for an exact version of a package.
 *
 * @param specifier For example `jsr:@std/assert@1.0.0`.
 * @param base Address of JSR. Default: the variable `JSR_URL`, which Deno respects too, or https://jsr.io.
 * @returns Whether JSR answers with that version in the metadata of the package.
 */
export async function jsrHas(
  specifier: string,
  base: string = Deno.env.get("JSR_URL") || "https://jsr.io",
): Promise<boolean> {
  const [, name, version] = /^jsr:(@[^@]+)@([\w.-]+)$/.exec(specifier) ?? [];
  if (name === undefined || version === undefined) {
    throw new TypeError(`Asking JSR: "${specifier}" names no exact version`);
  }
  try {
    const response = await fetch(`${base.replace(/\/+$/, "")}/${name}/meta.json`, {
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    const { versions } = await response.json();
    return response.ok && Object.hasOwn(versions, version);
  } catch {
    return false;
  }
}

/** Names that have a stand-in and cannot be had from JSR. */
export async function missingFromJsr({ imports = {} }: ImportingManifest): Promise<string[]> {
  const names = Object.keys(STAND_INS).filter((name) => imports[name] !== undefined);
  const had = await Promise.all(names.map((name) => jsrHas(imports[name]!)));
  return names.filter((_, index) => !had[index]);
}

/**
 * Derives the import map with the stand-ins from deno.json.
 *
 * @param manifest The manifest.
 * @param missing Names to stand in for. Default: all that have a stand-in.
 * @param root Directory of the manifest.
 * @returns An import map that does not depend on where it lies.
 */
export function standInImportMap(
  manifest: ImportingManifest,
  missing: readonly string[] = Object.keys(STAND_INS),
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
  for (const name of missing) imports[name] = absolute(STAND_INS[name]!);
  return { imports };
}

/**
 * Writes an import map with the stand-ins for what JSR does not have, and says so.
 *
 * @param directory Where to write it.
 * @returns Its path, or `undefined` when deno.json serves as it is.
 */
export async function importMapWithoutJsr(directory: string): Promise<string | undefined> {
  const manifest = JSON.parse(await Deno.readTextFile(join(repository, "deno.json")));
  const missing = await missingFromJsr(manifest);
  if (missing.length === 0) return undefined;
  console.log(`JSR does not have ${missing.join(", ")}: using the stand-ins of tests/support`);
  const path = join(directory, "import_map.json");
  await Deno.writeTextFile(path, JSON.stringify(standInImportMap(manifest, missing), null, 2));
  return path;
}

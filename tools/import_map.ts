/**
 * Tests use `@std/assert` and `@std/encoding` from JSR. If it does not answer, an import map
 * replaces them with small stand-ins.
 */
import { type Manifest, readManifest } from "./manifest.ts";
import { join, repository, toFileUrl } from "./paths.ts";

/** The stand-ins, by import name. */
const STAND_INS: Readonly<Record<string, string>> = {
  "@std/assert": "tests/support/std_assert.ts",
  "@std/encoding": "tests/support/std_encoding.ts",
};

/**
 * Whether JSR has a package in an exact version.
 *
 * @param specifier For example `jsr:@std/assert@1.0.0`.
 * @param base Address of JSR. Default: the variable `JSR_URL`, which Deno respects too, or
 *   https://jsr.io.
 */
export async function jsrHas(
  specifier: string,
  base: string = Deno.env.get("JSR_URL") || "https://jsr.io",
): Promise<boolean> {
  const [, name, version = ""] = /^jsr:(@[^@]+)@(.+)$/.exec(specifier) ?? [];
  try {
    const response = await fetch(`${base.replace(/\/+$/, "")}/${name}/meta.json`, {
      signal: AbortSignal.timeout(3_000),
    });
    const { versions } = await response.json();
    return response.ok && Object.hasOwn(versions, version);
  } catch {
    return false;
  }
}

/**
 * Derives the import map with stand-ins from deno.json. It does not depend on its own location.
 *
 * @param missing The names to replace. Default: all with a stand-in.
 */
export function standInImportMap(
  manifest: Pick<Manifest, "name" | "exports" | "imports">,
  missing: readonly string[] = Object.keys(STAND_INS),
): { imports: Record<string, string> } {
  const absolute = (path: string) => toFileUrl(join(repository, path)).href;
  const imports: Record<string, string> = {};
  // In deno.json, a name covers its subpaths, too; an import map needs a second entry.
  for (const [name, target] of Object.entries(manifest.imports)) {
    imports[name] = target;
    if (target.startsWith("npm:")) imports[`${name}/`] = `${target.replace("npm:", "npm:/")}/`;
  }
  for (const [path, target] of Object.entries(manifest.exports)) {
    imports[`${manifest.name}${path.slice(1)}`] = absolute(target);
  }
  for (const name of missing) imports[name] = absolute(STAND_INS[name]!);
  return { imports };
}

/**
 * Writes an import map with stand-ins for packages that JSR does not have, and prints a line about
 * them.
 *
 * @param directory Where to write it.
 * @returns Its path, or `undefined` if deno.json suffices.
 */
export async function importMapWithoutJsr(directory: string): Promise<string | undefined> {
  const manifest = await readManifest();
  const names = Object.keys(STAND_INS);
  const had = await Promise.all(names.map((name) => jsrHas(manifest.imports[name] ?? "")));
  const missing = names.filter((_, index) => !had[index]);
  if (missing.length === 0) return undefined;
  console.log(`JSR does not have ${missing.join(", ")}: using the stand-ins of tests/support`);
  const path = join(directory, "import_map.json");
  await Deno.writeTextFile(path, JSON.stringify(standInImportMap(manifest, missing), null, 2));
  return path;
}

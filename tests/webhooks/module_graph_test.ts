import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);
const MITTHOOKS = "@weissaufschwarz/mitthooks/";

/** The specifiers that a module loads at run time, static or dynamic; types are erased before. */
function runtimeImports(code: string): string[] {
  const pattern =
    /^\s*(?:import|export)\s(?!type\s)(?:[^"';]*?\sfrom\s*)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? "");
}

/** The modules of mitthooks, and the other packages, that a module loads. */
async function loadedFrom(entry: string) {
  const packages = new Set<string>();
  const files = new Set<string>();
  // Its manifest maps every subpath to its `dist`.
  const dist = new URL(`node_modules/${MITTHOOKS}dist/`, ROOT);
  const fileOf = (specifier: string, base: URL) =>
    specifier.startsWith(MITTHOOKS)
      ? new URL(`${specifier.slice(MITTHOOKS.length)}.js`, dist)
      : new URL(specifier, base);
  const toDo = [fileOf(entry, ROOT)];
  for (let url = toDo.pop(); url !== undefined; url = toDo.pop()) {
    if (files.has(url.href)) continue;
    files.add(url.href);
    for (const specifier of runtimeImports(await Deno.readTextFile(url))) {
      if (/^\.|^@weissaufschwarz/.test(specifier)) toDo.push(fileOf(specifier, url));
      else packages.add(specifier);
    }
  }
  const ofMitthooks = [...files].filter((file) => file.startsWith(dist.href));
  return { packages, ofMitthooks: ofMitthooks.map((file) => file.slice(dist.href.length)) };
}

Deno.test("importing ./webhooks loads mitthooks' error classes, and nothing else of any package", async () => {
  const { packages, ofMitthooks } = await loadedFrom("webhooks/mod.ts");
  assertEquals([packages, ofMitthooks], [new Set(), ["errors.js"]]);
});

Deno.test("the walk over the graph sees what mitthooks' factories load", async () => {
  const { packages } = await loadedFrom(`${MITTHOOKS}factory/combined`);
  assertEquals(packages, new Set(["@mittwald/api-client", "@noble/ed25519", "zod"]));
});

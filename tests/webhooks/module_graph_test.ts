import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** The specifiers that a module loads at run time, static or dynamic; types are erased before. */
function runtimeImports(code: string): string[] {
  const pattern =
    /^\s*(?:import|export)\s(?!type\s)(?:[^"';]*?\sfrom\s*)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
  return [...code.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? "");
}

/** The file of a module of mitthooks, whose manifest maps every subpath to its `dist`. */
async function mitthooksFile(specifier: string): Promise<URL> {
  const packageUrl = new URL("node_modules/@weissaufschwarz/mitthooks/", ROOT);
  const manifest = JSON.parse(await Deno.readTextFile(new URL("package.json", packageUrl)));
  const subpath = specifier.replace("@weissaufschwarz/mitthooks/", "");
  return new URL(manifest.exports["./*"].replace("*", subpath), packageUrl);
}

/** Walks the graph; packages other than mitthooks are its leaves. */
async function loadedFrom(entry: URL): Promise<{ packages: Set<string>; files: Set<string> }> {
  const packages = new Set<string>();
  const files = new Set<string>();
  const toDo = [entry];
  for (let url = toDo.pop(); url !== undefined; url = toDo.pop()) {
    if (files.has(url.href)) continue;
    files.add(url.href);
    for (const specifier of runtimeImports(await Deno.readTextFile(url))) {
      if (specifier.startsWith(".")) {
        toDo.push(new URL(specifier, url));
      } else if (specifier.startsWith("@weissaufschwarz/mitthooks/")) {
        toDo.push(await mitthooksFile(specifier));
      } else {
        packages.add(specifier);
      }
    }
  }
  return { packages, files };
}

Deno.test("importing ./webhooks loads mitthooks' error classes, and nothing else of any package", async () => {
  const { packages, files } = await loadedFrom(new URL("webhooks/mod.ts", ROOT));
  assertEquals(packages, new Set());
  const ofMitthooks = [...files].filter((file) => file.includes("/node_modules/"))
    .map((file) => file.replace(/.*\/dist\//, "")).sort();
  assertEquals(ofMitthooks, ["errors.js"]);
});

Deno.test("the walk over the graph sees what mitthooks' factories load", async () => {
  const { packages } = await loadedFrom(
    await mitthooksFile("@weissaufschwarz/mitthooks/factory/combined"),
  );
  assertEquals(packages, new Set(["@mittwald/api-client", "@noble/ed25519", "zod"]));
});

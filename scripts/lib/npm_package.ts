/**
 * Puts the npm package together: compiled modules, documents, manifest.
 *
 * @module
 */
import { jsrHas } from "./import_map.ts";
import { compileWithPack } from "./npm_compile_pack.ts";
import { commonDeclarations } from "./npm_declarations.ts";
import { NPM_NAME, type NpmManifest, npmManifest, type SourceManifest } from "./npm_manifest.ts";
import { runInDirectory } from "./npm_process.ts";
import { dirname, join, repository } from "./paths.ts";

/** Documents of the package. */
const DOCUMENTS = ["README.md", "CHANGELOG.md", "LICENSE"];

/** The only specifiers of own modules that compilers leave: `from "./x.js"`, `import("./x.js")`, `import "./x.js"`. */
const RELATIVE_IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)"(\.{1,2}\/[^"]+\.js)"/g;

/** What was built. */
export interface BuiltPackage {
  readonly directory: string;
  readonly manifest: NpmManifest;
  /** What compiled it. */
  readonly compiler: string;
  /** Documents that are not there yet. */
  readonly missing: readonly string[];
}

/**
 * Compiles all modules that deno.json exports.
 *
 * @param root Directory of deno.json.
 * @param outDir Directory that gets the code and its declarations, under the paths of their sources.
 * @param exports Subpaths by their modules, relative to `root`.
 * @returns The compiler's name.
 */
export type Compile = (
  root: string,
  outDir: string,
  exports: SourceManifest["exports"],
) => Promise<string>;

/**
 * Builds the npm package. Without one of its documents, the package is private: npm does not publish it.
 *
 * @param directory Where; what is there is replaced.
 * @param root Directory of deno.json.
 * @param compile The compiler. Default: dnt where it can be had, `deno pack` elsewhere.
 * @returns What was built.
 */
export async function buildNpmPackage(
  directory: string,
  root: string = repository,
  compile: Compile = compileWithWhatIsThere,
): Promise<BuiltPackage> {
  const source = JSON.parse(await Deno.readTextFile(join(root, "deno.json"))) as
    & SourceManifest
    & { name: string };
  const work = await Deno.makeTempDir({ prefix: "npm-package-" });
  try {
    const compiled = join(work, "compiled");
    const compiler = await compile(root, compiled, source.exports);
    const manifest = npmManifest(source);
    const result = join(work, "package");
    await copyModules(root, compiled, result, manifest, source.name);
    const missing = await copyDocuments(root, result);
    await Deno.writeTextFile(
      join(result, "package.json"),
      `${JSON.stringify({ ...manifest, ...missing.length > 0 && { private: true } }, null, 2)}\n`,
    );
    await Deno.remove(directory, { recursive: true }).catch(ignoreMissing);
    await copyDirectory(result, directory);
    return { directory, manifest, compiler, missing };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/**
 * Packs a built package as npm would publish it.
 *
 * @param directory The package.
 * @param destination Directory that gets the tarball.
 * @returns Path of the tarball.
 */
export async function packNpmPackage(directory: string, destination: string): Promise<string> {
  await Deno.mkdir(destination, { recursive: true });
  const { stdout } = await runInDirectory(directory, "npm", [
    "pack",
    "--json",
    "--silent",
    `--pack-destination=${destination}`,
  ]);
  const [packed] = Object.values<{ filename: string }>(JSON.parse(stdout));
  return join(destination, packed!.filename.replace("@", "").replace("/", "-"));
}

/** The one place where the two ways to the package differ. */
const compileWithWhatIsThere: Compile = async (root, outDir, exports) => {
  const { imports } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  if (await jsrHas(imports["@deno/dnt"])) {
    // Not a literal, so that Deno does not look for dnt where it cannot be had.
    const module = new URL("./npm_compile_dnt.ts", import.meta.url).href;
    const { compileWithDnt } = await import(module) as typeof import("./npm_compile_dnt.ts");
    await compileWithDnt(root, outDir, exports);
    return "dnt";
  }
  console.log("JSR does not have dnt: compiling with deno pack");
  await compileWithPack(root, outDir);
  return "deno pack";
};

/** Copies the modules that can be reached from an export, and their declarations. */
async function copyModules(
  root: string,
  from: string,
  to: string,
  manifest: NpmManifest,
  sourceName: string,
): Promise<void> {
  const commands = new Set(Object.values(manifest.bin ?? {}));
  const pending = Object.values(manifest.exports).flatMap((entry) => [entry.types, entry.default]);
  const done = new Set<string>();
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (done.has(path)) continue;
    done.add(path);
    let text = await Deno.readTextFile(join(from, path));
    for (const [, specifier] of text.matchAll(RELATIVE_IMPORT)) {
      const target = `./${join(dirname(path), specifier!)}`;
      pending.push(path.endsWith(".d.ts") ? target.replace(/\.js$/, ".d.ts") : target);
    }
    if (path.endsWith(".d.ts")) {
      const source = await Deno.readTextFile(join(root, path.replace(/\.d\.ts$/, ".ts")));
      text = commonDeclarations(text, source);
    }
    // The examples in the documentation import the package by its name on JSR; whoever writes `jsr:` means JSR.
    text = text.replaceAll(new RegExp(`(?<!jsr:)${sourceName}`, "g"), NPM_NAME);
    if (commands.has(path)) text = `#!/usr/bin/env node\n${text.replace(/^#!.*\n/, "")}`;
    const file = join(to, path);
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, text, { mode: commands.has(path) ? 0o755 : 0o644 });
  }
}

async function copyDocuments(from: string, to: string): Promise<string[]> {
  const missing: string[] = [];
  for (const name of DOCUMENTS) {
    try {
      await Deno.copyFile(join(from, name), join(to, name));
    } catch (error) {
      ignoreMissing(error);
      missing.push(name);
    }
  }
  return missing;
}

async function copyDirectory(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyDirectory(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/**
 * Puts the npm package together: compiled modules, documents, manifest.
 *
 * @module
 */
import * as esbuild from "esbuild";
import { jsrHas } from "../import_map.ts";
import { readManifest } from "../manifest.ts";
import { NPM_NAME, type NpmManifest, npmManifest, TYPE_PACKAGES } from "./manifest.ts";
import { runProgram } from "../program.ts";
import { npmReadme } from "./readme.ts";
import { dirname, join, repository } from "../paths.ts";

/** The Deno whose `pack` compiles, whatever Deno this is: the package is the same, and older ones have no `pack`. */
const PACKING_DENO = "2.9.6";

/** Documents of the package that are those of the repository. */
const DOCUMENTS = ["CHANGELOG.md", "LICENSE"];

/** The only specifiers of own modules that compilers leave: `from "./x.js"`, `import("./x.js")`, `import "./x.js"`. */
const RELATIVE_IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)"(\.{1,2}\/[^"]+\.js)"/g;

/** How TypeScript's declarations name private fields; whoever has the public members would be refused for it. */
const PRIVATE_FIELDS = /^ *#private;\n/gm;

/** The comment that a module begins with, behind the line that makes it a program. */
const MODULE_COMMENT = /^(?:#!.*\n)?(\/\*\*(?:(?!\*\/)[^])*@module(?:(?!\*\/)[^])*\*\/)\n/;

/** What was built. */
export interface BuiltPackage {
  readonly directory: string;
  readonly manifest: NpmManifest;
  /** What compiled it. */
  readonly compiler: string;
}

/**
 * Compiles all modules that deno.json exports.
 *
 * @param root Directory of deno.json.
 * @param outDir Directory that gets the code and its declarations, under the paths of their sources.
 * @param exports Modules by their subpaths, relative to `root`.
 */
type Compile = (
  root: string,
  outDir: string,
  exports: Readonly<Record<string, string>>,
) => Promise<void>;

/** A compiler, by its name. */
type Compiler = readonly [name: string, compile: Compile];

/**
 * Builds the npm package.
 *
 * @param directory Where; what is there is replaced.
 * @param root Directory of deno.json.
 */
export async function buildNpmPackage(
  directory: string,
  root: string = repository,
): Promise<BuiltPackage> {
  const source = await readManifest(root);
  const work = await Deno.makeTempDir({ prefix: "npm-package-" });
  try {
    const [compiler, compile] = await findCompiler(source.imports["@deno/dnt"] ?? "");
    const compiled = join(work, "compiled");
    await Deno.mkdir(compiled);
    await compile(root, compiled, source.exports);
    await Deno.remove(directory, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    const manifest = npmManifest(source);
    await copyModules(root, compiled, directory, manifest, source.name);
    for (const name of DOCUMENTS) await Deno.copyFile(join(root, name), join(directory, name));
    const readme = await Deno.readTextFile(join(root, "README.md"));
    await Deno.writeTextFile(join(directory, "README.md"), npmReadme(readme, source));
    await Deno.writeTextFile(
      join(directory, "package.json"),
      `${JSON.stringify(manifest, null, 2)}\n`,
    );
    return { directory, manifest, compiler };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/**
 * Packs a built package as npm would publish it.
 *
 * @param destination Directory that gets the tarball.
 * @returns Path of the tarball.
 */
export async function packNpmPackage(directory: string, destination: string): Promise<string> {
  await Deno.mkdir(destination, { recursive: true });
  const args = ["pack", "--json", "--silent", `--pack-destination=${destination}`];
  const { stdout } = await runProgram(directory, "npm", args);
  const [packed] = Object.values<{ filename: string }>(JSON.parse(stdout));
  return join(destination, packed!.filename.replace("@", "").replace("/", "-"));
}

/**
 * The one place where the two ways to the package differ. The packages have the same manifest, the same pages and the same
 * code; declarations may differ in this:
 *
 * - dnt writes `readonly code = "ERR_X"`, `deno pack` writes `readonly code: "ERR_X"`, which is the same type;
 * - dnt keeps declarations that only others inside of the package use, and their modules;
 * - `#private` and the comments on modules differ in what the compilers write, and are made equal below.
 */
async function findCompiler(dnt: string): Promise<Compiler> {
  if (await jsrHas(dnt)) {
    return ["dnt", compileWithDnt];
  }
  console.log("JSR does not have dnt: compiling with deno pack");
  return ["deno pack", compileWithPack];
}

const compileWithDnt: Compile = async (root, outDir, exports) => {
  // Not a literal, so that Deno does not look for dnt where it cannot be had.
  const dnt: string = "@deno/dnt";
  const { build } = await import(dnt);
  const work = `${outDir}.dnt`;
  await build({
    cwd: root,
    entryPoints: Object.entries(exports).map(([name, path]) => ({ name, path })),
    outDir: work,
    shims: {},
    scriptModule: false,
    skipSourceOutput: true,
    polyfills: false,
    test: false,
    compilerOptions: { target: "Latest", lib: ["ESNext", "DOM", "DOM.Iterable"] },
    // Needed while compiling alone. dnt installs what the modules import; the types of what has none of its own are
    // named here.
    package: { name: "compiled", version: "0.0.0", devDependencies: TYPE_PACKAGES },
  });
  await Deno.rename(join(work, "esm"), outDir);
  await Deno.remove(work, { recursive: true });
};

/** In a copy, because Denos arrange `node_modules` each in another way. */
const compileWithPack: Compile = async (root, outDir) => {
  const copy = await Deno.makeTempDir({ dir: outDir });
  const { publish } = await readManifest(root);
  const { include } = publish as { include: string[] };
  await runProgram(root, "cp", ["-R", ...include, copy]);
  const tarball = join(outDir, "packed.tgz");
  const options = ["--quiet", "--allow-dirty", "--no-source-maps", `--output=${tarball}`];
  const [command, ...before] = Deno.version.deno === PACKING_DENO
    ? [Deno.execPath()]
    : ["npx", "--yes", `deno@${PACKING_DENO}`];
  await runProgram(copy, command!, [...before, "pack", ...options]);
  await runProgram(outDir, "tar", ["-xzf", tarball, "--strip-components=1"]);
};

/**
 * Joins what the subpaths share into few modules, since Node.js takes about as long for each as this package's own start
 * takes in all. Copies the declarations that can be reached from an export.
 */
async function copyModules(
  root: string,
  from: string,
  to: string,
  manifest: NpmManifest,
  sourceName: string,
): Promise<void> {
  const commands = new Set(Object.values(manifest.bin ?? {}));
  const entries = Object.values(manifest.exports);
  await esbuild.build({
    absWorkingDir: from,
    entryPoints: entries.map((entry) => entry.default),
    outdir: to,
    outbase: from,
    bundle: true,
    splitting: true,
    chunkNames: "internal/[name]-[hash]",
    packages: "external",
    format: "esm",
    target: "es2023",
    logLevel: "silent",
    tsconfigRaw: {},
  });
  for (const path of commands) {
    const text = await Deno.readTextFile(join(to, path));
    const program = `#!/usr/bin/env node\n${text.replace(/^#!.*\n/, "")}`;
    await Deno.writeTextFile(join(to, path), program);
    await Deno.chmod(join(to, path), 0o755);
  }
  // What a declaration imports is appended, and comes later.
  const paths = new Set(entries.map((entry) => entry.types));
  for (const path of paths) {
    let text = await Deno.readTextFile(join(from, path));
    for (const [, specifier] of text.matchAll(RELATIVE_IMPORT)) {
      paths.add(`./${join(dirname(path), specifier!)}`.replace(/\.js$/, ".d.ts"));
    }
    text = text.replace(/^#!.*\n/, "").replace(PRIVATE_FIELDS, "");
    const source = await Deno.readTextFile(join(root, path.replace(/\.d\.ts$/, ".ts")));
    const comment = MODULE_COMMENT.exec(source)?.[1];
    // `deno pack` loses some.
    if (comment !== undefined && !text.includes("@module")) text = `${comment}\n${text}`;
    // The examples in the documentation import the package by its name on JSR; whoever writes `jsr:` means JSR.
    text = text.replaceAll(new RegExp(`(?<!jsr:)${sourceName}`, "g"), NPM_NAME);
    await Deno.mkdir(dirname(join(to, path)), { recursive: true });
    await Deno.writeTextFile(join(to, path), text);
  }
}

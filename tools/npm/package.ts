/** Assembles the npm package: compiled modules, documents, manifest. */
import * as esbuild from "esbuild";
import { jsrHas } from "../import_map.ts";
import { type Manifest, readManifest } from "../manifest.ts";
import { NPM_NAME, type NpmManifest, npmManifest, TYPE_PACKAGES } from "./manifest.ts";
import { runProgram } from "../program.ts";
import { npmReadme } from "./readme.ts";
import { dirname, join, repository } from "../paths.ts";

/**
 * The Deno version whose `pack` compiles: always the same package, and older versions have no
 * `pack`.
 */
const PACKING_DENO = "2.9.6";

const DOCUMENTS = ["CHANGELOG.md", "LICENSE"];

/**
 * The forms of own specifiers in compiled code: `from "./x.js"`, `import("./x.js")`,
 * `import "./x.js"`.
 */
const RELATIVE_IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)"(\.{1,2}\/[^"]+\.js)"/g;

/**
 * TypeScript's declaration of private fields, which makes objects with the public members
 * unassignable.
 */
const PRIVATE_FIELDS = /^ *#private;\n/gm;

/** A module's leading comment, after its shebang. */
const MODULE_COMMENT = /^(?:#!.*\n)?(\/\*\*(?:(?!\*\/)[^])*@module(?:(?!\*\/)[^])*\*\/)\n/;

export interface BuiltPackage {
  readonly directory: string;
  readonly manifest: NpmManifest;
  /** Path of its tarball, as npm would publish it. */
  readonly tarball: string;
}

/** The package of this run of a task, built by the first of its processes that asks. */
export async function npmPackage(): Promise<BuiltPackage> {
  const directory = join(Deno.env.get("RUN_DIRECTORY")!, "npm-package");
  const note = `${directory}.json`;
  using file = await Deno.open(note, { create: true, append: true });
  await file.lock(true);
  const noted = await Deno.readTextFile(note);
  if (noted !== "") return JSON.parse(noted);
  const built = await buildNpmPackage(directory);
  await Deno.writeTextFile(note, JSON.stringify(built));
  return built;
}

/**
 * Builds and packs the npm package.
 *
 * @param directory The target directory, which is replaced.
 */
export async function buildNpmPackage(directory: string): Promise<BuiltPackage> {
  const source = await readManifest();
  const work = await Deno.makeTempDir({ prefix: "npm-package-" });
  try {
    const compiled = join(work, "compiled");
    await Deno.mkdir(compiled);
    await compile(source, compiled);
    await Deno.remove(directory, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    const manifest = npmManifest(source);
    await copyModules(compiled, directory, manifest, source.name);
    for (const name of DOCUMENTS) {
      await Deno.copyFile(join(repository, name), join(directory, name));
    }
    const readme = await Deno.readTextFile(join(repository, "README.md"));
    await Deno.writeTextFile(join(directory, "README.md"), npmReadme(readme, source));
    await Deno.writeTextFile(
      join(directory, "package.json"),
      `${JSON.stringify(manifest, null, 2)}\n`,
    );
    const { stdout } = await runProgram(directory, "npm", ["pack", "--json", "--silent"]);
    const [packed] = Object.values<{ filename: string }>(JSON.parse(stdout));
    const tarball = join(directory, packed!.filename.replace("@", "").replace("/", "-"));
    return { directory, manifest, tarball };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/**
 * Compiles all modules that deno.json exports; the code and its declarations have the paths of
 * their sources. This is the only difference between the two builds. Both packages have the same
 * manifest, pages and code; declarations may differ as follows:
 *
 * - dnt writes `readonly code = "ERR_X"`, `deno pack` writes `readonly code: "ERR_X"`, the same
 *   type;
 * - dnt keeps declarations that are only used inside the package, and their modules;
 * - the compilers write `#private` and module comments differently; both are made equal below.
 */
async function compile({ exports, imports, publish }: Manifest, outDir: string): Promise<void> {
  if (await jsrHas(imports["@deno/dnt"] ?? "")) return await compileWithDnt(outDir, exports);
  console.log("JSR does not have dnt: compiling with deno pack");
  await compileWithPack(outDir, publish as { include: string[] });
}

async function compileWithDnt(outDir: string, exports: Manifest["exports"]): Promise<void> {
  // Not a literal, so that Deno does not resolve dnt where it is unavailable.
  const dnt: string = "@deno/dnt";
  const { build } = await import(dnt);
  const work = `${outDir}.dnt`;
  await build({
    cwd: repository,
    entryPoints: Object.entries(exports).map(([name, path]) => ({ name, path })),
    outDir: work,
    shims: {},
    scriptModule: false,
    skipSourceOutput: true,
    polyfills: false,
    test: false,
    compilerOptions: { target: "Latest", lib: ["ESNext", "DOM", "DOM.Iterable"] },
    // Needed only for compiling. dnt installs the modules' imports; this adds types for imports
    // without types.
    package: { name: "compiled", version: "0.0.0", devDependencies: TYPE_PACKAGES },
  });
  await Deno.rename(join(work, "esm"), outDir);
  await Deno.remove(work, { recursive: true });
}

/** In a copy, because versions of Deno lay out `node_modules` differently. */
async function compileWithPack(outDir: string, { include }: { include: string[] }) {
  const copy = await Deno.makeTempDir({ dir: outDir });
  await runProgram(repository, "cp", ["-R", ...include, copy]);
  const tarball = join(outDir, "packed.tgz");
  const options = ["--quiet", "--allow-dirty", "--no-source-maps", `--output=${tarball}`];
  const [command, ...before] = Deno.version.deno === PACKING_DENO
    ? [Deno.execPath()]
    : ["npx", "--yes", `deno@${PACKING_DENO}`];
  await runProgram(copy, command!, [...before, "pack", ...options]);
  await runProgram(outDir, "tar", ["-xzf", tarball, "--strip-components=1"]);
}

/**
 * Joins what the subpaths share into few modules, since Node.js takes about as long for each as
 * this package's own start takes in all. Copies the declarations that can be reached from an
 * export.
 */
async function copyModules(
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
  // The imports of a declaration are appended, and processed later.
  const paths = new Set(entries.map((entry) => entry.types));
  for (const path of paths) {
    let text = await Deno.readTextFile(join(from, path));
    for (const [, specifier] of text.matchAll(RELATIVE_IMPORT)) {
      paths.add(`./${join(dirname(path), specifier!)}`.replace(/\.js$/, ".d.ts"));
    }
    text = text.replace(/^#!.*\n/, "").replace(PRIVATE_FIELDS, "");
    const source = await Deno.readTextFile(join(repository, path.replace(/\.d\.ts$/, ".ts")));
    const comment = MODULE_COMMENT.exec(source)?.[1];
    // `deno pack` loses some.
    if (comment !== undefined && !text.includes("@module")) text = `${comment}\n${text}`;
    // Documentation examples import the package by its JSR name; specifiers with `jsr:` stay.
    text = text.replaceAll(new RegExp(`(?<!jsr:)${sourceName}`, "g"), NPM_NAME);
    await Deno.mkdir(dirname(join(to, path)), { recursive: true });
    await Deno.writeTextFile(join(to, path), text);
  }
}

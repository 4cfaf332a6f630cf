/**
 * Makes JavaScript of the suites that imports the package by its name, where the sources import modules of
 * the repository.
 *
 * @module
 */
import * as esbuild from "esbuild";
import { NPM_NAME } from "../lib/npm_manifest.ts";
import { dirname, join, repository, resolve } from "../lib/paths.ts";

/** What the sources import, and what the bundle takes instead. */
export type Replacements = Readonly<Record<string, string>>;

const STAND_INS = join(repository, "tests/runtimes/edge_stand_ins.ts");

const REPLACEMENTS: Replacements = {
  "@std/assert": join(repository, "tests/support/std_assert.ts"),
  "@std/encoding": STAND_INS,
};

/** Where no module of Node is needed, and need not be there. */
export const WITHOUT_NODE: Replacements = { "node:assert": STAND_INS, "node:util": STAND_INS };

/** Where Drizzle 1.0 differs. */
export const DRIZZLE_1: Replacements = Object.fromEntries(
  ["reencryption", "relational", "storage"].map((name) => [
    join(repository, `tests/suites/${name}.ts`),
    join(repository, "tests/conformance/drizzle_1.ts"),
  ]),
);

/** Subpaths by the paths of the public modules. */
export async function publicModules(): Promise<Map<string, string>> {
  const { exports } = JSON.parse(await Deno.readTextFile(join(repository, "deno.json")));
  return new Map(
    Object.entries<string>(exports).map(([subpath, path]) => [join(repository, path), subpath]),
  );
}

/** How to bundle. */
export interface BundleOptions {
  /** Entry points by the paths of their outputs, without extension. */
  readonly entries: Readonly<Record<string, string>>;
  readonly outDir: string;
  /** Whether packages stay imports. Otherwise they are taken from this project. */
  readonly packages: "external" | { readonly project: string };
  readonly replacements?: Replacements;
  readonly conditions?: readonly string[];
  readonly external?: readonly string[];
  readonly minify?: boolean;
  readonly format?: "esm" | "iife";
}

/** The package's own modules become imports of the package. */
async function asPackage(options: BundleOptions): Promise<esbuild.Plugin> {
  const subpaths = await publicModules();
  const replacements: Replacements = { ...REPLACEMENTS, ...options.replacements };
  const { packages } = options;
  return {
    name: "as-package",
    setup(build) {
      build.onResolve({ filter: /^[^/]/ }, ({ path, importer, kind, resolveDir }) => {
        if (kind === "entry-point") return undefined;
        const absolute = /^\.{1,2}\//.test(path) ? resolve(dirname(importer), path) : undefined;
        const replacement = replacements[absolute ?? path];
        // What stands in for a module may itself import that module.
        if (replacement !== undefined && replacement !== importer) return { path: replacement };
        if (!resolveDir.startsWith(join(repository, "tests"))) return undefined;
        const subpath = absolute && subpaths.get(absolute);
        if (absolute !== undefined && subpath === undefined) {
          if (absolute.startsWith(join(repository, "tests/"))) return undefined;
          return { errors: [{ text: `${path} is no public module of the package` }] };
        }
        // Modules of a runtime have a scheme.
        if (subpath === undefined && /^[a-z]+:/.test(path)) return undefined;
        // Packages come out of the project, and not out of this repository's own node_modules.
        const name = subpath === undefined ? path : NPM_NAME + subpath.slice(1);
        return packages === "external"
          ? { path: name, external: true }
          : build.resolve(name, { kind, resolveDir: packages.project });
      });
    },
  };
}

/**
 * Bundles.
 *
 * @returns Size of each output in bytes, by its path relative to `outDir`.
 */
export async function bundle(options: BundleOptions): Promise<Record<string, number>> {
  const { entries, outDir, packages, format = "esm", minify = false } = options;
  const { metafile } = await esbuild.build({
    absWorkingDir: repository,
    entryPoints: Object.entries(entries).map(([out, path]) => ({ out, in: path })),
    outdir: outDir,
    bundle: true,
    format,
    target: "es2023",
    platform: packages === "external" ? "node" : "neutral",
    mainFields: ["module", "main"],
    conditions: [...options.conditions ?? []],
    external: [...options.external ?? []],
    minify,
    metafile: true,
    logLevel: "silent",
    tsconfigRaw: {},
    plugins: [await asPackage(options)],
  });
  return Object.fromEntries(
    Object.entries(metafile.outputs).map(([path, { bytes }]) => [
      resolve(repository, path).slice(outDir.length + 1),
      bytes,
    ]),
  );
}

/** Ends esbuild's process. */
export function endBundler(): Promise<void> {
  return esbuild.stop();
}

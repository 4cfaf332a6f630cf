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

const SUITE_REPLACEMENTS: Replacements = {
  "@std/assert": join(repository, "tests/support/std_assert.ts"),
  "@std/encoding": join(repository, "tests/runtimes/encoding.ts"),
};

/** Where the 1.0 line differs. */
const DRIZZLE_1: Replacements = Object.fromEntries(
  ["reencryption", "relational", "storage"].map((name) => [
    join(repository, `tests/suites/${name}.ts`),
    join(repository, `tests/conformance/${name}_v1.ts`),
  ]),
);

/** The package's own modules become imports of the package. */
function asPackage(replacements: Replacements, project: string | undefined): esbuild.Plugin {
  const own = ["mod.ts", "pg", "webhooks", "testing"].map((name) => join(repository, name));
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
        // Packages come out of the project, and not out of this repository's own node_modules.
        const outOfProject = (name: string) =>
          project === undefined
            ? { path: name, external: true }
            : build.resolve(name, { kind, resolveDir: project });
        if (absolute === undefined) return isExternal(path) ? undefined : outOfProject(path);
        const [first, ...rest] = absolute.slice(repository.length).split("/");
        if (!own.includes(join(repository, first!))) return undefined;
        if (rest.includes("internal")) {
          return { errors: [{ text: `${path} is no public module of the package` }] };
        }
        const subpath = first === "mod.ts" ? "" : `/${first}`;
        return outOfProject(`${NPM_NAME}${subpath}`);
      });
    },
  };
}

/** Module that gets the subpaths of the package. */
const SUBPATHS = join(repository, "tests/runtimes/edge/subpaths.ts");

function withSubpaths(subpaths: readonly string[]): esbuild.Plugin {
  const specifiers = subpaths.map((subpath) => JSON.stringify(`${NPM_NAME}${subpath.slice(1)}`));
  return {
    name: "with-subpaths",
    setup(build) {
      build.onLoad(
        { filter: /\/edge\/subpaths\.ts$/ },
        ({ path }) =>
          path !== SUBPATHS ? undefined : {
            contents: [
              ...specifiers.map((specifier, index) => `import * as m${index} from ${specifier};`),
              `export const subpaths = {${
                specifiers.map((specifier, index) => `${specifier}: m${index}`).join()
              }};`,
            ].join("\n"),
            resolveDir: dirname(path),
          },
      );
    },
  };
}

/** Modules of a runtime, which have a scheme. */
function isExternal(specifier: string): boolean {
  return /^[a-z]+:/.test(specifier);
}

/** How to bundle. */
export interface BundleOptions {
  /** Entry points by the paths of their outputs, without extension. */
  readonly entries: Readonly<Record<string, string>>;
  readonly outDir: string;
  /** Whether packages stay imports. Otherwise they are taken from this project. */
  readonly packages: "external" | { readonly project: string };
  readonly drizzleLine?: "0" | "1";
  readonly replacements?: Replacements;
  /** Subpaths of the package that the edge suites import. */
  readonly subpaths?: readonly string[];
  readonly conditions?: readonly string[];
  readonly external?: readonly string[];
  readonly minify?: boolean;
  readonly format?: "esm" | "iife";
}

/**
 * Bundles.
 *
 * @returns Size of each output in bytes, by its path relative to `outDir`.
 */
export async function bundle(options: BundleOptions): Promise<Record<string, number>> {
  const { packages } = options;
  const result = await esbuild.build({
    absWorkingDir: repository,
    entryPoints: Object.entries(options.entries).map(([out, path]) => ({ out, in: path })),
    outdir: options.outDir,
    bundle: true,
    format: options.format ?? "esm",
    target: "es2023",
    platform: packages === "external" ? "node" : "neutral",
    mainFields: ["module", "main"],
    conditions: [...options.conditions ?? []],
    external: [...options.external ?? []],
    minify: options.minify ?? false,
    metafile: true,
    logLevel: "silent",
    tsconfigRaw: {},
    plugins: [
      withSubpaths(options.subpaths ?? []),
      asPackage({
        ...SUITE_REPLACEMENTS,
        ...options.drizzleLine === "1" && DRIZZLE_1,
        ...options.replacements,
      }, packages === "external" ? undefined : packages.project),
    ],
  });
  const sizes: Record<string, number> = {};
  for (const [path, { bytes }] of Object.entries(result.metafile.outputs)) {
    sizes[resolve(repository, path).slice(options.outDir.length + 1)] = bytes;
  }
  return sizes;
}

/** Ends esbuild's process. */
export function endBundler(): Promise<void> {
  return esbuild.stop();
}

/**
 * Makes JavaScript of the suites that imports the package by its name, where the sources import modules of
 * the repository.
 *
 * @module
 */
import * as esbuild from "esbuild";
import { readManifest } from "../manifest.ts";
import { NPM_NAME } from "../npm/manifest.ts";
import { dirname, join, repository, resolve } from "../paths.ts";

/** Modules, and what the bundle takes instead. */
export type Replacements = Readonly<Record<string, string>>;

const STAND_INS = join(repository, "tests/runtimes/edge_stand_ins.ts");

const REPLACEMENTS: Replacements = {
  "@std/assert": join(repository, "tests/support/std_assert.ts"),
  "@std/encoding": STAND_INS,
};

/** Where no module of Node is needed, and need not be there. */
export const WITHOUT_NODE: Replacements = { "node:assert": STAND_INS, "node:util": STAND_INS };

/** Modules that are tested as they are in the repository, since the package does not export them. */
const INTERNAL = [join(repository, "pg/internal/columns/aes_gcm.ts")];

/** Where Drizzle 1.0 differs. */
export const DRIZZLE_1: Replacements = Object.fromEntries(
  ["reencryption", "relational", "storage"].map((name) => [
    join(repository, `tests/suites/${name}.ts`),
    join(repository, "tests/conformance/drizzle_1.ts"),
  ]),
);

/** How to bundle. */
export type BundleOptions = Pick<esbuild.BuildOptions, "conditions" | "external" | "format"> & {
  /** Entry points by the paths of their outputs, without extension. */
  readonly entries: Readonly<Record<string, string>>;
  readonly outDir: string;
  /** Where packages are taken from. Without it, they stay imports. */
  readonly project?: string;
  readonly replacements?: Replacements;
};

/** Bundles. */
export async function bundle(options: BundleOptions): Promise<void> {
  const { entries, outDir, project, replacements, ...others } = options;
  await esbuild.build({
    absWorkingDir: repository,
    entryPoints: Object.entries(entries).map(([out, path]) => ({ out, in: path })),
    outdir: outDir,
    bundle: true,
    format: "esm",
    target: "es2023",
    platform: project === undefined ? "node" : "neutral",
    mainFields: ["module", "main"],
    logLevel: "silent",
    tsconfigRaw: {},
    plugins: [await asPackage(project, { ...REPLACEMENTS, ...replacements })],
    ...others,
  });
}

/** Whether a path is one of what the bundles are made of besides the package. */
function isOfTests(path: string): boolean {
  return ["tests/", "tools/", "bench/"].some((folder) => path.startsWith(join(repository, folder)));
}

/** The package's own modules become imports of the package. */
async function asPackage(
  project: string | undefined,
  replacements: Replacements,
): Promise<esbuild.Plugin> {
  const { exports } = await readManifest();
  const subpaths = new Map(
    Object.entries(exports).map(([subpath, path]) => [join(repository, path), subpath]),
  );
  return {
    name: "as-package",
    setup(build) {
      build.onResolve({ filter: /^[^/]/ }, ({ path, importer, kind, resolveDir }) => {
        if (kind === "entry-point") return undefined;
        const absolute = /^\.{1,2}\//.test(path) ? resolve(dirname(importer), path) : undefined;
        const replacement = replacements[absolute ?? path];
        // What stands in for a module may itself import that module.
        if (replacement !== undefined && replacement !== importer) return { path: replacement };
        if (!isOfTests(`${resolveDir}/`)) return undefined;
        const subpath = absolute && subpaths.get(absolute);
        if (absolute !== undefined && subpath === undefined) {
          if (isOfTests(absolute)) return undefined;
          if (INTERNAL.includes(absolute)) return undefined;
          return { errors: [{ text: `${path} is no public module of the package` }] };
        }
        const [, named, inside = ""] = /^npm:(@?[^@]+)@[^/]+(\/.+)?$/.exec(path) ?? [];
        if (named !== undefined) return { path: named + inside, external: true };
        // Modules of a runtime have a scheme.
        if (subpath === undefined && /^[a-z]+:/.test(path)) return undefined;
        const name = subpath === undefined ? path : NPM_NAME + subpath.slice(1);
        // Packages come out of the project, and not out of this repository's own node_modules.
        return project === undefined
          ? { path: name, external: true }
          : build.resolve(name, { kind, resolveDir: project });
      });
    },
  };
}

/**
 * Bundles the suites as JavaScript that imports the package by name instead of the repository's
 * modules.
 */
import * as esbuild from "esbuild";
import { readManifest } from "../manifest.ts";
import { NPM_NAME } from "../npm/manifest.ts";
import { dirname, join, repository, resolve } from "../paths.ts";

/** Modules and their replacements in the bundle. */
export type Replacements = Readonly<Record<string, string>>;

const STAND_INS = join(repository, "tests/runtimes/edge_stand_ins.ts");

const REPLACEMENTS: Replacements = {
  "@std/assert": join(repository, "tests/support/std_assert.ts"),
  "@std/encoding": STAND_INS,
};

/** For runtimes without Node's modules. */
export const WITHOUT_NODE: Replacements = { "node:assert": STAND_INS, "node:util": STAND_INS };

/** Modules tested from the repository, because the package does not export them. */
const INTERNAL = [join(repository, "pg/internal/columns/aes_gcm.ts")];

/** Replacements for Drizzle 1.0. */
export const DRIZZLE_1: Replacements = Object.fromEntries(
  ["reencryption", "relational", "storage"].map((name) => [
    join(repository, `tests/suites/${name}.ts`),
    join(repository, "tests/conformance/drizzle_1.ts"),
  ]),
);

export type BundleOptions = Pick<esbuild.BuildOptions, "conditions" | "external" | "format"> & {
  /** Entry points by output path, without extension. */
  readonly entries: Readonly<Record<string, string>>;
  readonly outDir: string;
  /** The project whose packages are bundled. Default: packages remain imports. */
  readonly project?: string;
  readonly replacements?: Replacements;
};

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

/** Whether a path belongs to the suites rather than the package. */
function isOfTests(path: string): boolean {
  return ["tests/", "tools/", "bench/"].some((folder) => path.startsWith(join(repository, folder)));
}

/** Turns the package's modules into imports of the package. */
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
        // A replacement may import the module that it replaces.
        if (replacement !== undefined && replacement !== importer) return { path: replacement };
        if (!isOfTests(`${resolveDir}/`)) return undefined;
        const subpath = absolute && subpaths.get(absolute);
        if (absolute !== undefined && subpath === undefined) {
          if (isOfTests(absolute)) return undefined;
          if (INTERNAL.includes(absolute)) return undefined;
          return { errors: [{ text: `${path} is not a public module of the package` }] };
        }
        const [, named, inside = ""] = /^npm:(@?[^@]+)@[^/]+(\/.+)?$/.exec(path) ?? [];
        if (named !== undefined) return { path: named + inside, external: true };
        // A runtime's modules have a scheme.
        if (subpath === undefined && /^[a-z]+:/.test(path)) return undefined;
        const name = subpath === undefined ? path : NPM_NAME + subpath.slice(1);
        // Packages come from the project, not from this repository's node_modules.
        return project === undefined
          ? { path: name, external: true }
          : build.resolve(name, { kind, resolveDir: project });
      });
    },
  };
}

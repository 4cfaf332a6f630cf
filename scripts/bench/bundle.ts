/**
 * Makes JavaScript of the contestants for a project that has their packages installed.
 *
 * @module
 */
import * as esbuild from "esbuild";
import { NPM_NAME } from "../../tools/npm/manifest.ts";
import { join, repository } from "../../tools/paths.ts";

/** The name on JSR. */
const SOURCE_NAME = "@wais/mitthooks-drizzle";

/** `npm:@scope/name@1.2.3/path`, in three parts. */
const NPM_SPECIFIER = /^npm:(@?[^@]+)@[^/]+(\/.+)?$/;

/** Packages stay imports, by the names that npm has for them. */
const asOnNpm: esbuild.Plugin = {
  name: "as-on-npm",
  setup(build) {
    build.onResolve({ filter: /^npm:/ }, ({ path }) => {
      const [, name, subpath = ""] = NPM_SPECIFIER.exec(path) ?? [];
      return name === undefined ? undefined : { path: `${name}${subpath}`, external: true };
    });
    build.onResolve({ filter: new RegExp(`^${SOURCE_NAME}`) }, ({ path }) => ({
      path: path.replace(SOURCE_NAME, NPM_NAME),
      external: true,
    }));
  },
};

/** Bundles modules of `contestants/`, each into a file of its own. */
export async function bundleContestants(
  programs: readonly string[],
  outdir: string,
): Promise<void> {
  await esbuild.build({
    absWorkingDir: repository,
    entryPoints: programs.map((name) => join(repository, `scripts/bench/contestants/${name}.ts`)),
    outdir,
    bundle: true,
    format: "esm",
    target: "es2023",
    platform: "node",
    packages: "external",
    logLevel: "silent",
    tsconfigRaw: {},
    plugins: [asOnNpm],
  });
}

/**
 * Compiles the package with dnt. Load this module only where JSR answers.
 *
 * @module
 */
import { build } from "@deno/dnt";
import { TYPE_PACKAGES } from "./npm_manifest.ts";
import { join } from "./paths.ts";

/**
 * Compiles and type-checks all modules that deno.json exports.
 *
 * @param root Directory of deno.json.
 * @param outDir Directory that gets the code and its declarations, under the paths of their sources.
 * @param exports Subpaths by their modules, relative to `root`.
 */
export async function compileWithDnt(
  root: string,
  outDir: string,
  exports: Readonly<Record<string, string>>,
): Promise<void> {
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
    // Needed while compiling alone: the manifest of the package is written afterwards. dnt installs what the
    // modules import; the types of what has none of its own are named here.
    package: { name: "compiled", version: "0.0.0", devDependencies: TYPE_PACKAGES },
  });
  await Deno.rename(join(work, "esm"), outDir);
  await Deno.remove(work, { recursive: true });
}

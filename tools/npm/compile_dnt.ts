/**
 * Compiles the package with dnt. Load this module only where JSR answers.
 *
 * @module
 */
import { build } from "@deno/dnt";
import type { Compile } from "./package.ts";
import { TYPE_PACKAGES } from "./manifest.ts";
import { join } from "../paths.ts";

/** Compiles and type-checks all modules that deno.json exports. */
export const compileWithDnt: Compile = async (root, outDir, exports) => {
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

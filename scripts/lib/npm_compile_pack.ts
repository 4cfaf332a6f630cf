/**
 * Compiles the package with `deno pack`, which needs nothing but Deno itself.
 *
 * @module
 */
import { runInDirectory } from "./npm_process.ts";
import { join } from "./paths.ts";

/**
 * Compiles all modules that deno.json exports.
 *
 * @param root Directory of deno.json.
 * @param outDir Directory that gets the code and its declarations, under the paths of their sources.
 */
export async function compileWithPack(root: string, outDir: string): Promise<void> {
  await Deno.mkdir(outDir, { recursive: true });
  const tarball = join(outDir, "packed.tgz");
  await runInDirectory(root, Deno.execPath(), [
    "pack",
    "--quiet",
    "--allow-dirty",
    "--no-source-maps",
    `--output=${tarball}`,
  ]);
  await runInDirectory(outDir, "tar", ["-xzf", tarball, "--strip-components=1"]);
  await Deno.remove(tarball);
}

/**
 * The library runs on every runtime: it compiles with what the language and the web have, and loads nothing
 * but itself and its dependencies, also as CommonJS, as drizzle-kit loads schemas.
 *
 * @module
 */
import * as esbuild from "esbuild";
import { DEPENDENCIES } from "../lib/npm_manifest.ts";
import { join } from "../lib/paths.ts";
import { type Check, readManifest, runDeno } from "./check.ts";

/** Entry points that have to be portable; the command is a program for servers. */
const PORTABLE = /^\.\/(mod\.ts|(pg|webhooks|tokens|testing)\/.*)$/;

/** Checks types and loads. */
export const portable: Check = {
  name: "portable",
  async run({ root, temporary }) {
    const { exports = {}, imports, compilerOptions } = await readManifest(root);
    const entries = [...new Set(Object.values(exports))].filter((path) => PORTABLE.test(path));
    if (entries.length === 0) return ["deno.json exports no module that has to be portable"];
    const config = join(temporary, "portable.json");
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        imports,
        compilerOptions: { ...compilerOptions as object, lib: ["esnext", "dom", "dom.iterable"] },
      }),
    );
    const { success, output } = await runDeno(root, [
      "check",
      "--quiet",
      "--node-modules-dir=none",
      `--config=${config}`,
      ...entries,
    ]);
    const findings = success ? [] : output.trimEnd().split("\n");
    return [...findings, ...await loadFindings(root, entries)];
  },
};

/** Foreign imports and top-level `await`: a bundle as CommonJS can have neither. */
async function loadFindings(root: string, entries: readonly string[]): Promise<string[]> {
  const failure = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [...entries],
    outdir: join(root, "never-written"),
    write: false,
    bundle: true,
    format: "cjs",
    platform: "neutral",
    logLevel: "silent",
    tsconfigRaw: {},
    plugins: [{
      name: "dependencies-only",
      setup(build) {
        build.onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
          if (kind === "entry-point") return undefined;
          const name = /^(?:@[^/]+\/)?[^/]+/.exec(path)![0];
          return DEPENDENCIES.has(name) ? { path, external: true } : {
            errors: [{ text: `imports "${path}", which is none of the library's dependencies` }],
          };
        });
      },
    }],
  }).then(() => undefined, (error: esbuild.BuildFailure) => error);
  await esbuild.stop();
  return (failure?.errors ?? []).map(({ text, location }) =>
    `${location?.file}:${location?.line}: ${text}`
  );
}

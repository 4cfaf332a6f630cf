import * as esbuild from "esbuild";
import { readManifest } from "../lib/manifest.ts";
import { DEPENDENCIES } from "../lib/npm_manifest.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";
import type { Check } from "./check.ts";

/** Entry points that have to be portable; the command is a program for servers. */
const PORTABLE = /^\.\/(mod\.ts|(pg|webhooks|tokens|testing)\/.*)$/;

/**
 * The library runs on every runtime: it compiles with what the language and the web have, and loads nothing but itself
 * and its dependencies, also as CommonJS, as drizzle-kit loads schemas.
 */
export const portable: Check = {
  name: "portable",
  async run({ root, temporary }) {
    const { exports, imports, compilerOptions } = await readManifest(root);
    const entries = [...new Set(Object.values(exports))].filter((path) => PORTABLE.test(path));
    if (entries.length === 0) return ["deno.json exports no module that has to be portable"];
    const config = join(temporary, "portable.json");
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        imports: Object.fromEntries(
          Object.entries(imports).filter(([name]) => DEPENDENCIES.has(name)),
        ),
        compilerOptions: { ...compilerOptions as object, lib: ["esnext", "dom", "dom.iterable"] },
      }),
    );
    const args = ["check", "--quiet", "--node-modules-dir=none", `--config=${config}`, ...entries];
    const findings = await runInDirectory(root, Deno.execPath(), args)
      .then(() => [], (error: Error) => error.message.split("\n"));
    return [...findings, ...await loadFindings(root, entries)];
  },
};

/** Imports of a runtime's modules, and top-level `await`: a bundle as CommonJS can have neither. */
async function loadFindings(root: string, entries: string[]): Promise<string[]> {
  const { errors } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: entries,
    outdir: join(root, "never-written"),
    write: false,
    bundle: true,
    format: "cjs",
    platform: "neutral",
    external: [...DEPENDENCIES].flatMap((name) => [name, `${name}/*`]),
    logLevel: "silent",
    tsconfigRaw: {},
  }).catch((failure: esbuild.BuildFailure) => failure);
  await esbuild.stop();
  return errors.map(({ text, location }) => `${location?.file}:${location?.line}: ${text}`);
}

import * as esbuild from "esbuild";
import { readManifest } from "../manifest.ts";
import { DEPENDENCIES, MITTHOOKS } from "../npm/manifest.ts";
import { runProgram } from "../program.ts";
import { join } from "../paths.ts";
import type { Check } from "./check.ts";

/**
 * The portable subpaths and the packages that they may load; the command is a program for servers.
 */
const MAY_LOAD: Readonly<Record<string, readonly string[]>> = {
  ".": ["drizzle-orm", "scrypt-js"],
  "./mitthooks": [MITTHOOKS],
  "./pg": ["drizzle-orm", "scrypt-js"],
  "./pg/encryption": ["drizzle-orm", "scrypt-js"],
  "./pg/schema": ["drizzle-orm"],
  "./recovery": [],
  "./sessions": ["jose"],
  "./testing": [],
  "./tokens": [],
  "./webhooks": [],
};

/**
 * The library runs on every runtime: it compiles with the types of the language and the web only,
 * and each subpath loads only its own packages, also as CommonJS, because drizzle-kit loads schemas
 * that way.
 */
export const portable: Check = {
  name: "portable",
  async run({ root, temporary }) {
    const { exports, imports, compilerOptions } = await readManifest(root);
    const { "./cli": _, ...entries } = exports;
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
    const options = ["--quiet", "--node-modules-dir=none", `--config=${config}`];
    const args = ["check", ...options, ...Object.values(entries)];
    const findings = await runProgram(root, Deno.execPath(), args)
      .then((): string[] => [], (error: Error) => error.message.split("\n"));
    for (const [subpath, entry] of Object.entries(entries)) {
      findings.push(...await loadFindings(root, entry, MAY_LOAD[subpath] ?? []));
    }
    return findings;
  },
};

/**
 * Imports of other packages or a runtime's modules, and top-level `await`, which CommonJS lacks.
 */
async function loadFindings(
  root: string,
  entry: string,
  packages: readonly string[],
): Promise<string[]> {
  const { errors } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [entry],
    write: false,
    bundle: true,
    format: "cjs",
    platform: "neutral",
    external: packages.flatMap((name) => [name, `${name}/*`]),
    logLevel: "silent",
    tsconfigRaw: {},
  }).catch((failure: esbuild.BuildFailure) => failure);
  return errors.map(({ text, location }) => `${location?.file}:${location?.line}: ${text}`);
}

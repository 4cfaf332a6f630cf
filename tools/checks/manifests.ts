/**
 * jsr.json is what `npx jsr publish` reads. It says the same as deno.json, which is the source of truth. Only what
 * applications share with the library has a range there: everything else is built and tested with one version.
 *
 * As a program, writes jsr.json anew.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { type Manifest, readManifest } from "../manifest.ts";
import { DEPENDENCIES, DRIVERS } from "../npm/manifest.ts";
import { join, repository } from "../paths.ts";
import { runProgram } from "../program.ts";
import type { Check } from "./check.ts";

/** The fields of a package manifest that JSR knows. */
const FIELDS = ["name", "version", "license", "exports", "imports", "publish"];

/** What jsr.json has to be. */
export function jsrManifest(deno: Manifest): Record<string, unknown> {
  return Object.fromEntries(FIELDS.map((field) => [field, deno[field]]));
}

/** Compares both manifests, field by field. */
export const manifests: Check = {
  name: "manifests",
  async run({ root }) {
    const [deno, jsr] = await Promise.all([readManifest(root), readManifest(root, "jsr.json")]);
    const expected = jsrManifest(deno);
    const differing = [...new Set([...FIELDS, ...Object.keys(jsr)])]
      .filter((field) => !isDeepStrictEqual(jsr[field], expected[field]))
      .map((field) =>
        `${field}: deno.json has ${JSON.stringify(deno[field])}, ` +
        `jsr.json ${JSON.stringify(jsr[field])}`
      );
    const inexact = Object.entries(deno.imports)
      .filter(([name]) => !DEPENDENCIES.has(name) && !Object.hasOwn(DRIVERS, name))
      .filter(([, target]) => !/^(npm|jsr):.+@\d+\.\d+\.\d+$/.test(target))
      .map(([name, target]) => `imports: ${name} has no exact version, but ${target}`);
    return [...differing, ...inexact];
  },
};

if (import.meta.main) {
  const text = JSON.stringify(jsrManifest(await readManifest()), null, 2);
  await Deno.writeTextFile(join(repository, "jsr.json"), `${text}\n`);
  // The formatter, too, has a say in how the file looks.
  await runProgram(repository, Deno.execPath(), ["fmt", "--quiet", "jsr.json"]);
}

/**
 * `npx jsr publish` reads jsr.json, which must equal deno.json, the source of truth. Only
 * dependencies that applications share with the library have a range there; everything else is
 * built and tested with one version.
 *
 * As a program, writes jsr.json.
 */
import { isDeepStrictEqual } from "node:util";
import { type Manifest, readManifest } from "../manifest.ts";
import { DEPENDENCIES, DRIVERS } from "../npm/manifest.ts";
import { join, repository } from "../paths.ts";
import { runProgram } from "../program.ts";
import type { Check } from "./check.ts";

const FIELDS = ["name", "version", "license", "exports", "imports", "publish"];

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
  // The formatter also affects the file.
  await runProgram(repository, Deno.execPath(), ["fmt", "--quiet", "jsr.json"]);
}

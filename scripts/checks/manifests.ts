/**
 * jsr.json is what `npx jsr publish` reads. It says the same as deno.json, which is the source of truth.
 *
 * As a program, writes jsr.json anew.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { join, repository } from "../lib/paths.ts";
import { type Check, type Manifest, readManifest } from "./check.ts";

/** The fields of a package manifest that JSR knows. */
const FIELDS = ["name", "version", "license", "exports", "imports", "publish"] as const;

/** What jsr.json has to be. */
export function jsrManifest(deno: Manifest): Manifest {
  return Object.fromEntries(FIELDS.map((field) => [field, deno[field]]));
}

/** Compares both manifests, field by field. */
export const manifests: Check = {
  name: "manifests",
  async run({ root }) {
    const [deno, jsr] = await Promise.all([readManifest(root), readManifest(root, "jsr.json")]);
    const expected = jsrManifest(deno);
    return [...new Set([...FIELDS, ...Object.keys(jsr)])]
      .filter((field) => expected[field] === undefined || !isSame(jsr[field], expected[field]))
      .map((field) =>
        `${field}: deno.json has ${JSON.stringify(deno[field])}, ` +
        `jsr.json ${JSON.stringify(jsr[field])}`
      );
  },
};

function isSame(actual: unknown, expected: unknown): boolean {
  return isDeepStrictEqual(actual, expected);
}

if (import.meta.main) {
  const text = JSON.stringify(jsrManifest(await readManifest(repository)), null, 2);
  await Deno.writeTextFile(join(repository, "jsr.json"), `${text}\n`);
  // The formatter, too, has a say in how the file looks.
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", "jsr.json"], cwd: repository })
    .output();
}

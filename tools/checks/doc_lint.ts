import { readManifest } from "../manifest.ts";
import { runProgram } from "../program.ts";
import { dirname, join } from "../paths.ts";
import type { Check } from "./check.ts";

/**
 * `deno doc --lint` on all entry points, without findings about types of other packages, which
 * cannot become public here, and about types in `internal` folders, which are intermediate steps of
 * public ones. Before, the API reference is built as JSR shows it.
 */
export const docLint: Check = {
  name: "doc-lint",
  async run({ root, temporary }) {
    const { exports } = await readManifest(root);
    const entries = [...new Set(Object.values(exports))];
    const args = ["doc", "--quiet", "--html", `--output=${join(temporary, "doc")}`, ...entries];
    await runProgram(root, Deno.execPath(), args);
    const output = await runProgram(root, Deno.execPath(), ["doc", "--lint", ...entries])
      .then(() => "", (error: Error) => error.message);
    let sources = "";
    for (const folder of new Set(entries.map((entry) => join(root, dirname(entry))))) {
      for await (const { name } of Deno.readDir(folder)) {
        if (name.endsWith(".ts")) sources += await Deno.readTextFile(join(folder, name));
      }
    }
    const findings = output.split(/^(?=error)/m).filter((part) => part.startsWith("error["));
    // Another failure, for example a module that cannot be read.
    if (output !== "" && findings.length === 0) return output.split("\n");
    return findings.filter((finding) => isOurs(finding, sources))
      .flatMap((finding) => finding.trimEnd().split("\n"));
  },
};

/** Whether a finding is about something other than a type declared outside the public modules. */
export function isOurs(finding: string, sources: string): boolean {
  const name = /references private type '([\w$]+)/.exec(finding)?.[1];
  return name === undefined ||
    new RegExp(`^(export )?(abstract )?(type|interface|class|enum) ${name}\\b`, "m").test(sources);
}

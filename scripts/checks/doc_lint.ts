/**
 * `deno doc --lint` on all entry points, without what it says about types of other packages, which cannot
 * be made public here, and about those in the `internal` folders.
 *
 * @module
 */
import { type Check, readManifest, runDeno } from "./check.ts";
import { filesOf } from "./installation.ts";

/** Lints the documentation. */
export const docLint: Check = {
  name: "doc-lint",
  async run({ root }) {
    const entries = [...new Set(Object.values((await readManifest(root)).exports ?? {}))];
    const { success, output } = await runDeno(root, ["doc", "--lint", ...entries]);
    if (success) return [];
    const ours = new Set<string>();
    for await (const path of filesOf(root)) {
      // The types in `internal` are steps of computing public ones; they mean nothing by themselves.
      if (!path.endsWith(".ts") || /\/(internal|node_modules|\.cache)\//.test(path)) continue;
      const text = await Deno.readTextFile(path);
      text.split("\n").forEach((line, index) => ours.add(`${index + 1} ${line.trim()}`));
    }
    const findings = findingsIn(output);
    const kept = findings.filter((finding) => !isAboutDependency(finding, ours));
    // Something else went wrong, for example a module that cannot be read.
    if (findings.length === 0) return output.trimEnd().split("\n");
    return kept.flatMap((finding) => finding.split("\n"));
  },
};

/** Splits the output into its findings; warnings of the dependency resolution come first. */
export function findingsIn(output: string): string[] {
  return output.split(/^(?=error)/m).map((part) => part.trim())
    .filter((part) => /^error\[/.test(part));
}

/**
 * Whether a finding is about a type that is declared in none of our modules. Its excerpt shows number and
 * text of the line of the declaration, but not the file.
 *
 * @param finding One of {@linkcode findingsIn}.
 * @param ours Number and trimmed text of all lines of our modules.
 */
export function isAboutDependency(finding: string, ours: ReadonlySet<string>): boolean {
  if (!finding.startsWith("error[private-type-ref]")) return false;
  const declaration = /^ *(\d+) \| (.*)\n *\| *-+ this is the referenced type/m.exec(finding);
  return declaration !== null && !ours.has(`${declaration[1]} ${(declaration[2] ?? "").trim()}`);
}

/**
 * The library runs on every runtime: its modules import nothing but each other and its dependencies, and
 * use nothing that a runtime may lack.
 *
 * @module
 */
import { fromFileUrl, join } from "../lib/paths.ts";
import { type Check, type CheckContext, readManifest, runDeno } from "./check.ts";
import { type LocalModule, moduleGraph } from "./module_graph.ts";

/** Entry points that have to be portable. The command line and the simulator are not among them. */
const PORTABLE = /^\.\/(mod\.ts|(pg|webhooks|tokens)\/.*)$/;

/** The packages that the library may load. */
const DEPENDENCIES = new Set(["@weissaufschwarz/mitthooks", "drizzle-orm", "scrypt-js"]);

/** Walks the import graph. */
export const portable: Check = {
  name: "portable",
  async run(context) {
    const { exports = {} } = await readManifest(context.root);
    const entries = [...new Set(Object.values(exports))].filter((path) => PORTABLE.test(path));
    if (entries.length === 0) {
      return ["deno.json exports none of mod.ts, pg/, webhooks/ and tokens/"];
    }
    const modules = await moduleGraph(context.root, entries);
    const relative = (path: string) =>
      path.startsWith(context.root) ? path.slice(context.root.length).replace(/^\//, "") : path;
    return [
      ...foreignImports(modules).map(({ path, line, message }) =>
        `${relative(path)}:${line}: ${message}`
      ),
      ...(await findingsOfPlugin(context, modules.map(({ path }) => path)))
        .map(({ path, line, message }) => `${relative(path)}:${line}: ${message}`),
    ];
  },
};

interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

function foreignImports(modules: readonly LocalModule[]): Finding[] {
  return modules.flatMap(({ path, imports }) =>
    imports.filter(({ resolved }) => !isAllowed(resolved)).map(({ line, specifier }) => ({
      path,
      line,
      message: `imports "${specifier}", which is none of the library's dependencies`,
    }))
  );
}

function isAllowed(resolved: string): boolean {
  if (resolved.startsWith("file:")) return true;
  const name = /^npm:\/?((?:@[^/@]+\/)?[^/@]+)/.exec(resolved)?.[1];
  return name !== undefined && DEPENDENCIES.has(name);
}

/** Deno's own linter parses the modules: comments, texts and types do not count as uses of a name. */
async function findingsOfPlugin(context: CheckContext, paths: string[]): Promise<Finding[]> {
  const config = join(context.temporary, "portable_lint.json");
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      lint: {
        rules: { tags: [], include: ["portable/every-runtime"] },
        plugins: [new URL("./portable_lint_plugin.ts", import.meta.url).href],
      },
    }),
  );
  // A file that breaks the rule shows that the rule is in force.
  const probe = join(context.temporary, "portable_probe.ts");
  await Deno.writeTextFile(probe, "Buffer;\n");
  const { stdout, output } = await runDeno(context.root, [
    "lint",
    "--json",
    `--config=${config}`,
    probe,
    ...paths,
  ]);
  const report = parseReport(stdout);
  const found = (report?.diagnostics ?? []).map(({ filename, range, message }) => ({
    path: filename.startsWith("file:") ? fromFileUrl(filename) : filename,
    line: range.start.line,
    message,
  }));
  if (report === undefined || !found.some(({ path }) => path === probe)) {
    throw new Error(`Linting the modules: deno lint did not apply the rule\n${output}`);
  }
  return [
    ...report.errors.map(({ file_path: path, message }) => ({ path, line: 1, message })),
    ...found.filter(({ path }) => path !== probe),
    ...await switchedOff(paths),
  ];
}

/** Comments could switch the rule off. */
async function switchedOff(paths: readonly string[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const path of paths) {
    const lines = (await Deno.readTextFile(path)).split("\n");
    lines.forEach((text, index) => {
      if (/deno-lint-ignore(-file)?(\s*$|\s+--|.*\bportable\b)/.test(text)) {
        findings.push({ path, line: index + 1, message: "switches this check off" });
      }
    });
  }
  return findings;
}

interface LintReport {
  readonly diagnostics: readonly {
    filename: string;
    message: string;
    range: { start: { line: number } };
  }[];
  readonly errors: readonly { file_path: string; message: string }[];
}

function parseReport(text: string): LintReport | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

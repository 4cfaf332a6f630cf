/**
 * Each subpath by itself, in a project that has nothing installed but what this subpath needs.
 *
 * @module
 */
import { NPM_NAME } from "../../lib/npm_manifest.ts";
import { runInDirectory } from "../../lib/npm_process.ts";
import { join } from "../../lib/paths.ts";
import { bundle } from "../bundle.ts";
import type { Cell } from "../cell.ts";
import type { Lab } from "../lab.ts";
import { type Outcome, outcomeOfStep, sumOfOutcomes } from "../outcome.ts";
import { bunProgram, nodeProgram, type Program } from "../programs.ts";

const DRIZZLE = ["drizzle-orm"];
const DATABASE = ["drizzle-orm", "scrypt-js"];
// Its schemas are zod's; its API client is not among them.
const WEBHOOKS = ["@weissaufschwarz/mitthooks", "zod"];

/** What a subpath may load; all of `./pg` by default. No driver is ever installed. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  ".": [...DATABASE, ...WEBHOOKS],
  "./pg/schema": DRIZZLE,
  "./schema": DRIZZLE,
  "./schema.js": DRIZZLE,
  "./webhooks": WEBHOOKS,
  "./testing": WEBHOOKS,
  "./cli": [...DATABASE, ...WEBHOOKS],
};

/** Makes a project. Hard links, for Node would follow symbolic ones to where everything is installed. */
async function isolate(lab: Lab, packages: readonly string[]): Promise<string> {
  const directory = lab.path("subpaths", packages.join("-").replaceAll(/[@/]/g, ""));
  if (await Deno.stat(directory).catch(() => undefined) !== undefined) return directory;
  const from = join((await lab.project("0.45")).directory, "node_modules");
  for (const name of [NPM_NAME, ...packages]) {
    const target = join(directory, "node_modules", name);
    await Deno.mkdir(join(target, ".."), { recursive: true });
    await runInDirectory("/", "cp", ["-al", join(from, name), target]);
  }
  await Deno.writeTextFile(join(directory, "package.json"), '{"type":"module"}');
  return directory;
}

const specifierOf = (subpath: string) => `${NPM_NAME}${subpath.slice(1)}`;

async function importSubpath(lab: Lab, { path }: Program, subpath: string): Promise<void> {
  const directory = await isolate(lab, NEEDS[subpath] ?? DATABASE);
  await Deno.writeTextFile(
    join(directory, "import.js"),
    `const names = Object.keys(await import(process.argv[2]));
     if (names.length === 0) throw new Error("it exports nothing");
     console.log(names.length);`,
  );
  await runInDirectory(directory, path, ["import.js", specifierOf(subpath)]);
}

/** Bundles it as for an edge runtime, where nothing of Node may be left. */
async function bundleSubpath(lab: Lab, subpath: string): Promise<void> {
  const directory = await isolate(lab, NEEDS[subpath] ?? DATABASE);
  const entry = join(directory, "entry.js");
  await Deno.writeTextFile(entry, `export * from ${JSON.stringify(specifierOf(subpath))};\n`);
  await bundle({ entries: { out: entry }, outDir: directory, packages: { project: directory } });
}

function subpathCell(
  name: string,
  representative: boolean,
  subpathsOf: (subpaths: string[]) => string[],
  check: (lab: Lab, subpath: string) => Promise<void>,
  versions: () => Promise<string>,
): Cell {
  return {
    name: `Subpaths, ${name}`,
    shows: "each by itself, with nothing installed but what it needs",
    representative,
    async run(lab) {
      const { manifest } = await lab.package();
      const outcomes: Outcome[] = [];
      for (const subpath of subpathsOf(Object.keys(manifest.exports))) {
        outcomes.push(await outcomeOfStep(subpath, () => check(lab, subpath)));
      }
      return { ...sumOfOutcomes(outcomes), versions: await versions() };
    },
  };
}

const all = (subpaths: string[]) => subpaths;

function importCell(program: () => Promise<Program>, name: string): Cell {
  return subpathCell(
    name,
    true,
    all,
    async (lab, subpath) => await importSubpath(lab, await program(), subpath),
    async () => {
      const { name, version } = await program();
      return `${name.split(" ")[0]} ${version}`;
    },
  );
}

export const subpathCells: readonly Cell[] = [
  importCell(() => nodeProgram(20), "Node"),
  importCell(bunProgram, "Bun"),
  subpathCell(
    "edge",
    true,
    (subpaths) => subpaths.filter((subpath) => subpath !== "./cli"),
    bundleSubpath,
    () => Promise.resolve("bundled by esbuild, without Node's modules"),
  ),
];

/**
 * Each subpath by itself, in a project that has nothing installed but what this subpath needs.
 *
 * @module
 */
import { NPM_NAME } from "../lib/npm_manifest.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";
import { bundle } from "./bundle.ts";
import { bunProgram, nodeProgram, type Program } from "./programs.ts";
import type { Shared } from "./shared.ts";
import { runSteps, type Target } from "./target.ts";

const DATABASE = ["drizzle-orm", "scrypt-js"];
// Its schemas are zod's; its API client is not among them.
const WEBHOOKS = ["@weissaufschwarz/mitthooks", "zod"];

/** What a subpath may load; what `./pg` may by default. No driver is ever installed. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  ".": [...DATABASE, ...WEBHOOKS],
  "./pg/schema": ["drizzle-orm"],
  "./schema": ["drizzle-orm"],
  "./schema.js": ["drizzle-orm"],
  "./webhooks": WEBHOOKS,
  "./testing": WEBHOOKS,
  "./cli": [...DATABASE, ...WEBHOOKS],
};

/** Makes a project. Hard links, for Node would follow symbolic ones to where everything is installed. */
async function isolate(shared: Shared, packages: readonly string[]): Promise<string> {
  const from = join(await shared.project("0.45"), "node_modules");
  const directory = await Deno.makeTempDir({ dir: shared.path(), prefix: "subpath-" });
  for (const name of [NPM_NAME, ...packages]) {
    const target = join(directory, "node_modules", name);
    await Deno.mkdir(join(target, ".."), { recursive: true });
    await runInDirectory("/", "cp", ["-al", join(from, name), target]);
  }
  return directory;
}

async function importSubpath(path: string, directory: string, specifier: string): Promise<void> {
  const code =
    `import("${specifier}").then((module) => process.exit(Object.keys(module)[0] ? 0 : 1))`;
  await runInDirectory(directory, path, ["-e", code]);
}

/** As for an edge runtime, where nothing of Node may be left. */
async function bundleSubpath(directory: string, specifier: string): Promise<void> {
  const entry = join(directory, "entry.js");
  await Deno.writeTextFile(entry, `export * from "${specifier}";\n`);
  await bundle({ entries: { out: entry }, outDir: directory, packages: { project: directory } });
}

/** @param program What imports the subpaths; without one, they are bundled. */
const subpathTarget = (name: string, program?: () => Promise<Program>): Target => ({
  name: `Subpaths, ${name}`,
  shows: "each by itself, with nothing installed but what it needs",
  everyday: true,
  async run(shared) {
    const runtime = await program?.();
    const { manifest } = await shared.package();
    const steps: Record<string, () => Promise<void>> = {};
    for (const subpath of Object.keys(manifest.exports)) {
      if (runtime === undefined && subpath === "./cli") continue;
      steps[subpath] = async () => {
        const directory = await isolate(shared, NEEDS[subpath] ?? DATABASE);
        const specifier = NPM_NAME + subpath.slice(1);
        if (runtime === undefined) await bundleSubpath(directory, specifier);
        else await importSubpath(runtime.path, directory, specifier);
      };
    }
    const bundled = "bundled by esbuild, without Node's modules";
    return await runSteps(runtime ? `${runtime.name} ${runtime.version}` : bundled, steps);
  },
});

export const subpathTargets: readonly Target[] = [
  subpathTarget("Node", () => nodeProgram(20)),
  subpathTarget("Bun", bunProgram),
  subpathTarget("edge"),
];

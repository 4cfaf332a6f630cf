/**
 * The Deno of Deno Deploy, which is older than the newest: everything from source.
 *
 * @module
 */
import { importMapWithoutJsr } from "../lib/import_map.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { repository } from "../lib/paths.ts";
import { denoProgram } from "./programs.ts";
import type { Shared } from "./shared.ts";
import { runSteps, type Target } from "./target.ts";

const VERSION = "2.5.0";
const ENTRIES = ["mod.ts", "cli.ts", "webhooks/mod.ts", "tokens/mod.ts", "testing/mod.ts"];

/** What in the repository is not its source. */
const MADE = new Set([".git", ".cache", "node_modules", "npm", "coverage"]);

/** A copy of the sources: the repository's packages were installed by another Deno. */
function copySources(shared: Shared): Promise<string> {
  const directory = shared.path("sources");
  return shared.once(directory, async () => {
    await Deno.mkdir(directory);
    const names = Array.from(Deno.readDirSync(repository), ({ name }) => name);
    const sources = names.filter((name) => !MADE.has(name));
    await runInDirectory(repository, "cp", ["-R", ...sources, directory]);
    return directory;
  });
}

/** Runs this Deno in the copy, with a server to use. */
async function runDeno(shared: Shared, ...args: string[]): Promise<void> {
  const { path } = await denoProgram(VERSION);
  await runInDirectory(await copySources(shared), path, args, {
    // As newer ones do by default.
    DENO_TLS_CA_STORE: "mozilla,system",
    TEST_DATABASE_URL: Deno.env.get("TEST_SERVER_URL")!,
  });
}

const denoTarget = (name: string, shows: string, ...tasks: (readonly string[])[]): Target => ({
  name,
  shows: `types; ${shows}`,
  everyday: !name.includes("everything"),
  run: (shared) =>
    runSteps(`Deno ${VERSION}, from source`, {
      // Which says of types alone that they fit.
      "deno check": async () => {
        const map = await importMapWithoutJsr(await copySources(shared));
        await runDeno(shared, "check", ...map ? [`--import-map=${map}`] : [], ...ENTRIES);
      },
      ...Object.fromEntries(
        tasks.map((task) => [`deno task ${task[0]}`, () => runDeno(shared, "task", ...task)]),
      ),
    }),
});

export const denoTargets: readonly Target[] = [
  denoTarget(`Deno ${VERSION}`, "the suite of encryption", ["test", "tests/encryption_test.ts"]),
  denoTarget(`Deno ${VERSION}, everything`, "`deno task test` and the demo", ["demo"], ["test"]),
];

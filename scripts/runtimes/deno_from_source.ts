/**
 * The Deno of Deno Deploy, which is older than the newest: everything from source.
 *
 * @module
 */
import { importMapWithoutJsr } from "../lib/import_map.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { denoProgram } from "./programs.ts";
import type { Shared } from "./shared.ts";
import { runSteps, type Target } from "./target.ts";

const VERSION = "2.5.0";
const ENTRIES = ["mod.ts", "cli.ts", "webhooks/mod.ts", "tokens/mod.ts", "testing/mod.ts"];

/** Runs this Deno in a copy of the sources, with a server to use. */
async function runDeno(shared: Shared, ...args: string[]): Promise<void> {
  const { path } = await denoProgram(VERSION);
  await runInDirectory(await shared.sources(), path, args, {
    // As newer ones do by default.
    DENO_TLS_CA_STORE: "mozilla,system",
    TEST_DATABASE_URL: Deno.env.get("TEST_SERVER_URL")!,
  });
}

function denoTarget(
  name: string,
  shows: string,
  everyday: boolean,
  tasks: readonly (readonly string[])[],
): Target {
  return {
    name,
    shows,
    everyday,
    run: (shared) =>
      runSteps(`Deno ${VERSION}, from source`, {
        // Which says of types alone that they fit.
        "deno check": async () => {
          const map = await importMapWithoutJsr(await shared.sources());
          await runDeno(shared, "check", ...map ? [`--import-map=${map}`] : [], ...ENTRIES);
        },
        ...Object.fromEntries(
          tasks.map((task) => [`deno task ${task[0]}`, () => runDeno(shared, "task", ...task)]),
        ),
      }),
  };
}

export const denoTargets: readonly Target[] = [
  denoTarget(`Deno ${VERSION}`, "types; the suite of encryption", true, [
    ["test", "tests/encryption_test.ts"],
  ]),
  denoTarget(`Deno ${VERSION}, everything`, "types; `deno task test` and the demo", false, [
    ["demo"],
    ["test"],
  ]),
];

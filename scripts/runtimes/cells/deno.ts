/**
 * Cells for the Deno of Deno Deploy, which is older than the newest: everything from source.
 *
 * @module
 */
import { importMapWithoutJsr } from "../../lib/import_map.ts";
import { runInDirectory } from "../../lib/npm_process.ts";
import type { Cell } from "../cell.ts";
import type { Lab } from "../lab.ts";
import { type Outcome, outcomeOfStep, sumOfOutcomes } from "../outcome.ts";
import { denoProgram } from "../programs.ts";

const VERSION = "2.5.0";

/** Runs this Deno in a copy of the sources, with a server to use. */
async function runDeno(lab: Lab, args: readonly string[]): Promise<void> {
  const { path } = await denoProgram(VERSION);
  await runInDirectory(await lab.sources(), path, args, {
    // As newer ones do by default.
    DENO_TLS_CA_STORE: "mozilla,system",
    TEST_DATABASE_URL: Deno.env.get("TEST_SERVER_URL")!,
  });
}

/** Runs tests and counts them. */
async function runTests(lab: Lab, ...args: string[]): Promise<Outcome> {
  const report = lab.path("deno-tests.xml");
  const ended = await outcomeOfStep(
    "deno task test",
    () => runDeno(lab, ["task", "test", `--junit-path=${report}`, ...args]),
  );
  const summary = /<testsuites .*/.exec(await Deno.readTextFile(report).catch(() => ""))?.[0] ?? "";
  const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(summary)?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  const passed = number("tests") - failed;
  if (passed === 0 && failed === 0) return { ...ended, passed: 0 };
  return { passed, failed: Math.max(failed, ended.failed), failures: ended.failures };
}

const ENTRIES = ["mod.ts", "cli.ts", "webhooks/mod.ts", "tokens/mod.ts", "testing/mod.ts"];

/** `deno check`, which says of types alone that they fit. */
function check(lab: Lab): Promise<Outcome> {
  return outcomeOfStep("deno check", async () => {
    const importMap = await importMapWithoutJsr(await lab.sources());
    const args = importMap === undefined ? [] : [`--import-map=${importMap}`];
    await runDeno(lab, ["check", ...args, ...ENTRIES]);
  });
}

export const denoCells: readonly Cell[] = [
  {
    name: `Deno ${VERSION}`,
    shows: "types; the suite of encryption",
    representative: true,
    run: async (lab) => ({
      ...sumOfOutcomes([await check(lab), await runTests(lab, "tests/encryption_test.ts")]),
      versions: `Deno ${VERSION}, from source`,
    }),
  },
  {
    name: `Deno ${VERSION}, everything`,
    shows: "types; `deno task test` and the demo",
    representative: false,
    run: async (lab) => ({
      ...sumOfOutcomes([
        await check(lab),
        await outcomeOfStep("deno task demo", () => runDeno(lab, ["task", "demo"])),
        await runTests(lab),
      ]),
      versions: `Deno ${VERSION}, from source`,
    }),
  },
];

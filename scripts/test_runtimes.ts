/**
 * `deno task test:runtimes [--all] [NAME…]`: runs the suites on the packed tarball, on every runtime, driver
 * and line of Drizzle. Without `--all`, one cell of each class. Names choose cells, by parts of their names.
 *
 * Downloads stay in `.cache/`. A complete `--all` renews the table in docs/runtimes.md.
 *
 * @module
 */
import { createDatabase } from "../tests/support/postgres.ts";
import { beginGuardedRun } from "./lib/guarded_run.ts";
import { renewSection } from "./lib/marked_section.ts";
import { join, repository } from "./lib/paths.ts";
import { findPostgres } from "./lib/postgres_binaries.ts";
import { startServer } from "./lib/postgres_server.ts";
import { endBundler } from "./runtimes/bundle.ts";
import type { Cell, CellResult } from "./runtimes/cell.ts";
import { applicationCells } from "./runtimes/cells/application.ts";
import { denoCells } from "./runtimes/cells/deno.ts";
import { driverCells } from "./runtimes/cells/driver.ts";
import { edgeCells } from "./runtimes/cells/edge.ts";
import { installCell } from "./runtimes/cells/install.ts";
import { serverCells } from "./runtimes/cells/server.ts";
import { typeCells } from "./runtimes/cells/types.ts";
import { openExchange, rowsOfOthers } from "./runtimes/exchange.ts";
import { Lab } from "./runtimes/lab.ts";
import { sumOfOutcomes } from "./runtimes/outcome.ts";
import { resultTable } from "./runtimes/table.ts";

const CELLS: readonly Cell[] = [
  ...serverCells,
  ...denoCells,
  ...edgeCells,
  ...driverCells,
  ...typeCells,
  installCell,
  ...applicationCells,
];

const all = Deno.args.includes("--all");
const names = Deno.args.filter((argument) => argument !== "--all");
const chosen = CELLS.filter(({ name, representative }) =>
  names.length > 0 ? names.some((part) => name.includes(part)) : all || representative
);
if (chosen.length === 0) {
  console.error(`There is no such cell, only ${CELLS.map(({ name }) => name).join(", ")}`);
  Deno.exit(2);
}

const { directory, externalUrl, prefix, finish } = beginGuardedRun();
Deno.env.set("TEST_DATABASE_PREFIX", prefix);
await finish(runCells, endBundler);

async function runCells(): Promise<number> {
  if (externalUrl === undefined) {
    const binaries = await findPostgres(directory);
    const server = await startServer({ directory, binaries });
    Deno.env.set("TEST_SERVER_URL", server.url);
    console.log(`${binaries.version} from ${binaries.origin}`);
  }
  const lab = new Lab(directory, async () => (await createDatabase()).url);
  const { manifest, compiler } = await lab.package();
  console.log(`${manifest.name}@${manifest.version}, compiled by ${compiler}`);
  await openExchange(lab);

  const results: [Cell, CellResult][] = [];
  for (const cell of chosen) results.push([cell, await timed(cell.name, () => attempt(cell, lab))]);
  await rowsOfOthers(lab);
  const written = Object.keys(lab.values).length;
  for (const entry of results) {
    const [cell, result] = entry;
    if (cell.read === undefined) continue;
    const read = await timed(`${cell.name} reads ${written}`, async () => ({
      ...await cell.read!(lab).catch(failure),
      versions: result.versions,
    }));
    entry[1] = { ...sumOfOutcomes([result, read]), versions: result.versions };
  }

  if (all && names.length === 0) await renewTable(resultTable(results));
  const { passed, failed } = sumOfOutcomes(results.map(([, result]) => result));
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

async function attempt(cell: Cell, lab: Lab): Promise<CellResult> {
  return await cell.run(lab).catch((error) => ({ ...failure(error), versions: "?" }));
}

function failure(error: unknown) {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return { passed: 0, failed: 1, failures: [text] };
}

/** Says what came of a step and how long it took. */
async function timed(name: string, step: () => Promise<CellResult>): Promise<CellResult> {
  const start = performance.now();
  const result = await step();
  const { failures, versions, passed, failed } = result;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const verdict = failed === 0 ? "ok" : "FAILED";
  console.log(`${verdict} ${name} (${versions}): ${passed} passed, ${failed} failed, ${seconds} s`);
  for (const text of failures) console.log(text.replaceAll(/^/gm, "    "));
  return result;
}

async function renewTable(table: string): Promise<void> {
  const page = join(repository, "docs/runtimes.md");
  if (!await renewSection(page, "runtimes", table)) console.log(table);
}

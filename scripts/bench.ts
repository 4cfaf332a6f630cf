/**
 * `deno task bench`: measures this library against the package that it continues, against bare Web Crypto and
 * SQL, and against plain Drizzle, on a throwaway PostgreSQL.
 *
 * All take turns in short slices, several rounds; a ratio is taken in each round, and its median is what
 * counts. Figures mean something only relative to each other, and only on a machine that does nothing else.
 *
 * @module
 */
import * as schema from "../pg/schema.ts";
import { type BenchArguments, readArguments, USAGE } from "./bench/arguments.ts";
import { Databases } from "./bench/databases.ts";
import { describeRun } from "./bench/describe_run.ts";
import { runtimeTitle } from "./bench/figures.ts";
import { type Arena, measureRow, ORDINARY_PACE, QUICK_PACE } from "./bench/measure.ts";
import type { BenchResult, RowResult, RuntimeResult } from "./bench/result.ts";
import { allRows, type Row } from "./bench/rows.ts";
import { Runtimes } from "./bench/runtimes.ts";
import { rowReport } from "./bench/text_report.ts";
import { writeDocuments } from "./bench/write_documents.ts";
import { beginGuardedRun } from "../tools/guarded_run.ts";
import { findPostgres } from "../tools/postgres/binaries.ts";
import { startServer } from "../tools/postgres/server.ts";
import { endBundler } from "../tools/runtimes/bundle.ts";

/** Rows of the large tables, and in a smoke run. */
const LARGE = 1_000_000;
const LARGE_WHEN_QUICK = 20_000;

/** Nothing is cleaned up or written back in the middle of a slice, and the large table fits into memory. */
const SERVER_SETTINGS = {
  autovacuum: "off",
  checkpoint_timeout: "1h",
  max_wal_size: "8GB",
  shared_buffers: "2GB",
};

const wanted = argumentsOrExit();
if (wanted.from !== undefined) {
  const result: BenchResult = JSON.parse(await Deno.readTextFile(wanted.from));
  for (const runtime of result.runtimes) {
    console.log(`\n${runtimeTitle(runtime)}`);
    for (const row of runtime.rows) console.log(rowReport(row));
  }
  if (wanted.write) await writeDocuments(result);
} else {
  const { directory, externalUrl, prefix, finish } = beginGuardedRun();
  Deno.env.set("TEST_DATABASE_PREFIX", prefix);
  await finish(async () => {
    let postgres = "PostgreSQL in TEST_DATABASE_URL";
    if (externalUrl === undefined) {
      const binaries = await findPostgres(directory);
      const server = await startServer({ directory, binaries, settings: SERVER_SETTINGS });
      Deno.env.set("TEST_SERVER_URL", server.url);
      postgres = `PostgreSQL ${/\d[\d.]*/.exec(binaries.version)?.[0]}`;
    }
    console.log(postgres);
    const arena = { directory, databases: new Databases(), runtimes: new Runtimes(directory) };
    return await measureAll(arena, postgres);
  }, endBundler);
}

function argumentsOrExit(): BenchArguments {
  if (Deno.args.includes("--help")) {
    console.log(USAGE);
    Deno.exit(0);
  }
  try {
    return readArguments(Deno.args, allRows(LARGE).map(({ name }) => name));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    Deno.exit(2);
  }
}

/** The rows that are wanted and can be had; says which are left out. */
function chooseRows(): Row[] {
  const rows = allRows(wanted.quick ? LARGE_WHEN_QUICK : LARGE)
    .filter(({ name }) => wanted.rows.length === 0 || wanted.rows.includes(name));
  const large = rows.filter(({ full }) => full && !wanted.full);
  if (large.length > 0) {
    console.log(`Left out without --full: ${large.map(({ name }) => name).join(", ")}`);
  }
  const needsLastEvents = ({ contestants }: Row) => contestants.some((one) => one.lastEvents);
  const impossible = "buildLastEventTable" in schema ? [] : rows.filter(needsLastEvents);
  for (const { name } of impossible) {
    console.log(`Left out: ${name}, the library has no buildLastEventTable`);
  }
  return rows.filter((row) => !large.includes(row) && !impossible.includes(row));
}

async function measureAll(arena: Arena, postgres: string): Promise<number> {
  const rows = chooseRows();
  const pace = { ...wanted.quick ? QUICK_PACE : ORDINARY_PACE, rounds: wanted.rounds };
  const runtimes: (RuntimeResult & { rows: RowResult[] })[] = [];
  const result: BenchResult = {
    ...describeRun(),
    versions: { PostgreSQL: postgres, ...await arena.runtimes.versions() },
    rounds: wanted.rounds,
    quick: wanted.quick,
    runtimes,
  };
  for (const name of wanted.runtimes) {
    const { name: runtime, version } = await arena.runtimes.program(name);
    const measured = { runtime, version, rows: [] as RowResult[] };
    runtimes.push(measured);
    console.log(`\n${runtimeTitle(measured)}`);
    for (const row of rows) {
      const rowResult = await measureRow(arena, name, row, pace);
      console.log(rowReport(rowResult));
      measured.rows.push(rowResult);
      // Each time, so that nothing is lost when a long run ends early.
      if (wanted.json !== undefined) await save(result, wanted.json);
    }
  }
  if (wanted.write) await writeDocuments(result);
  // This library did not do its work, or nobody else did.
  const failed = runtimes.flatMap(({ rows }) => rows).filter(({ ratios }) => ratios.length === 0);
  return failed.length === 0 ? 0 : 1;
}

async function save(result: BenchResult, path: string): Promise<void> {
  await Deno.writeTextFile(path, `${JSON.stringify(result, null, 2)}\n`);
}

/**
 * `deno task load`: what the example does under load, as a process of its own on a throwaway PostgreSQL, all of it on
 * this machine: rising concurrency, a database that is too slow for what comes in, and memory over many deliveries.
 *
 * `--quick` is a smoke run of some seconds; without it, it takes about five minutes. The exit status is 1 if an answer
 * came too late for mStudio, if deliveries failed without an overload, or if memory grew.
 *
 * @module
 */
import { type ExampleServer, type Memory, startExample } from "./load/example_server.ts";
import { NO_ANSWER, runStep, type StepResult, STORED } from "./load/step.ts";
import { beginGuardedRun } from "../tools/guarded_run.ts";
import { join } from "../tools/paths.ts";

const quick = Deno.args.includes("--quick");
if (Deno.args.some((argument) => argument !== "--quick")) {
  console.error("Usage: deno task load [--quick]");
  Deno.exit(2);
}

/** Concurrency, and how long it is kept up. */
const STEPS = quick ? [1, 16, 256] : [1, 4, 16, 64, 256, 1_024, 4_096];
const STEP_MS = quick ? 1_000 : 6_000;
/** What a slowed database takes for each row, in seconds; twice for one that is there. */
const SLOW_SECONDS = 0.2;
const OVERLOAD = { concurrency: quick ? 400 : 1_000, ms: quick ? 7_000 : 30_000 };
/** Then less comes in, and the database is as slow: work that was given up must not stand in the way for long. */
const RECOVERY = { concurrency: 4, ms: quick ? 8_000 : 20_000 };
const ENDURANCE = { concurrency: 32, deliveries: quick ? 2_000 : 100_000, ms: 200_000 };
/** How often memory is looked at in the meantime. */
const SAMPLES = 10;
/** What a heap may grow by, after it is warm, without being called a leak, in bytes. */
const HEAP_TOLERANCE = 8 * 1024 * 1024;

const { directory, providePostgres, finish } = beginGuardedRun();
await finish(async () => {
  Deno.env.set("TMPDIR", join(directory.path, "tmp"));
  await providePostgres();
  const failures = await loadAll(await startExample(directory));
  for (const failure of failures) console.error(`Failed: ${failure}`);
  return failures.length === 0 ? 0 : 1;
});

async function loadAll(example: ExampleServer): Promise<string[]> {
  const failures: string[] = [];
  const expect = (condition: boolean, what: string) => {
    if (!condition) failures.push(what);
  };
  const onlyStored = ({ answers }: StepResult) => [...answers.keys()].every((it) => it === STORED);

  console.log("\nRising concurrency");
  printHead();
  for (const concurrency of STEPS) {
    const result = await runStep(example, { concurrency, ms: STEP_MS });
    print(result);
    // Beyond, the processor is what is too slow: requests wait in the runtime, before the handler sees them.
    if (concurrency <= 1_024) {
      expect(!result.answers.has(NO_ANSWER), `at ${concurrency} at once, an answer came too late`);
    }
    if (concurrency <= 256) {
      expect(onlyStored(result), `at ${concurrency} at once, one was refused`);
    }
  }

  console.log("\nA database that is too slow, and what comes after it");
  printHead();
  await slowDown(example);
  const overload = await runStep(example, OVERLOAD);
  print(overload);
  expect(!overload.answers.has(NO_ANSWER), "at overload, an answer came too late");
  const duringMemory = await example.memory();
  const recovery = await runStep(example, RECOVERY);
  print(recovery);
  expect(!recovery.answers.has(NO_ANSWER), "after the overload, an answer came too late");
  expect(recovery.answers.has(STORED), "after the overload, nothing was stored");
  console.log(`Memory at the end of the overload: ${describe(duringMemory)}`);
  await example.sql`drop trigger slow on extension_instance_last_event`;

  console.log(`\nMemory over ${ENDURANCE.deliveries.toLocaleString("en")} deliveries`);
  const memory: Memory[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const result = await runStep(example, {
      ...ENDURANCE,
      ms: ENDURANCE.ms / SAMPLES,
      deliveries: ENDURANCE.deliveries / SAMPLES,
    });
    memory.push(await example.memory());
    console.log(
      `${String(result.deliveries).padStart(8)} deliveries, ` +
        `${Math.round(result.storedPerSecond)}/s: ${describe(memory.at(-1)!)}`,
    );
    expect(onlyStored(result), "while memory was watched, a delivery was refused");
  }
  const growth = memory.at(-1)!.heapUsed - memory[0]!.heapUsed;
  console.log(`Growth of the heap since the first of these: ${toMegabytes(growth)}`);
  expect(growth < HEAP_TOLERANCE, "the heap grew");
  return failures;
}

/** Whatever is written waits, as on a machine that is too small. */
async function slowDown({ sql }: ExampleServer): Promise<void> {
  await sql.unsafe(`
    CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(${SLOW_SECONDS}); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON extension_instance_last_event
      FOR EACH ROW EXECUTE FUNCTION be_slow()`);
}

function printHead(): void {
  console.log("   at once  deliveries  stored/s   p50 ms   p99 ms  longest  answers");
}

function print(result: StepResult): void {
  const { concurrency, deliveries, storedPerSecond, p50, p99, longest, answers } = result;
  const numbers = [
    [concurrency, 10],
    [deliveries, 11],
    [storedPerSecond, 9],
    [p50, 8],
    [p99, 8],
    [longest, 8],
  ].map(([value, width]) => formatNumber(value!).padStart(width!));
  const counts = [...answers].map(([answer, count]) => `${count} × ${answer}`);
  console.log(`${numbers.join(" ")}  ${counts.join(", ")}`);
}

function formatNumber(value: number): string {
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
}

function describe({ rss, heapUsed }: Memory): string {
  return `heap ${toMegabytes(heapUsed)}, RSS ${toMegabytes(rss)}`;
}

function toMegabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

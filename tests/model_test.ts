/** Whatever arrives, in whatever order: the tables are what mStudio says, and every change happens once. */

import { assert, assertEquals } from "@std/assert";
import { createDatabase } from "../tools/postgres/databases.ts";
import { describe, run, type RunOptions, type RunResult } from "./model/run.ts";

/** A run in a database of its own; says what it did, so that its seed is known. */
async function runIn(options: Omit<RunOptions, "databaseUrl">): Promise<RunResult> {
  await using database = await createDatabase();
  const complete = { ...options, databaseUrl: database.url };
  console.log(`seed ${options.seed} begins`);
  const result = await run(complete);
  console.log(describe(complete, result));
  return result;
}

/** A new one each time. `deno task test:model --seed N` repeats a run. */
const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0]!;

const test = (name: string, fn: () => Promise<void>) => Deno.test(`model: ${name}`, fn);

test("1,000 deliveries to two servers that are killed and cut off, by clocks that differ", async () => {
  const { differences, deliveries } = await runIn({ seed: newSeed(), deliveries: 1_000 });
  assertEquals(differences, []);
  assert(deliveries >= 1_000);
});

test("attempts that keep the time of their event, and an outage of an hour", async () => {
  const { differences, disturbances } = await runIn({
    seed: newSeed(),
    deliveries: 300,
    restamp: false,
  });
  assertEquals(differences, []);
  assertEquals(disturbances["outage"], 1);
});

test("without the last events there are differences", async () => {
  const { differences } = await runIn({ seed: 1, deliveries: 300, fence: false });
  assert(differences.some((difference) => difference.includes("row: stored")));
});

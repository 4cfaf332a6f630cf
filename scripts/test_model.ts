/**
 * `deno task test:model [--deliveries N] [--seed N] [--keep-stamps] [--without-last-events]`: one long run of the model
 * test, see tests/model/run.ts.
 *
 * @module
 */
import { describe, run } from "../tests/model/run.ts";
import { createDatabase } from "../tools/postgres/databases.ts";
import { beginGuardedRun } from "../tools/guarded_run.ts";
import { readModelArguments } from "../tests/model/arguments.ts";

const { providePostgres, finish } = beginGuardedRun();
await finish(async () => {
  const { flags, ...options } = readModelArguments(Deno.args, 10_000, [
    "--keep-stamps",
    "--without-last-events",
  ]);
  await providePostgres();
  await using database = await createDatabase();
  const complete = {
    ...options,
    databaseUrl: database.url,
    restamp: !flags.has("--keep-stamps"),
    fence: !flags.has("--without-last-events"),
  };
  console.log(`seed ${options.seed} begins`);
  const begin = performance.now();
  const result = await run(complete);
  console.log(describe(complete, result));
  console.log(`${((performance.now() - begin) / 1000).toFixed(1)} s`);
  return result.differences.length === 0 ? 0 : 1;
});

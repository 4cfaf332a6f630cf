/**
 * `deno task test:failover [--deliveries N] [--seed N]`: a run of the model test (see tests/model/run.ts) in which the
 * primary is killed half-way and its synchronous standby promoted.
 *
 * It needs the programs of a PostgreSQL server on this system, and says so where they are missing.
 *
 * @module
 */
import { describe, run } from "../tests/model/run.ts";
import { beginGuardedRun } from "../tools/guarded_run.ts";
import { readModelArguments } from "../tests/model/arguments.ts";
import { findPostgres } from "../tools/postgres/binaries.ts";
import { startPair } from "../tools/postgres/pair.ts";

const { directory, finish } = beginGuardedRun();
await finish(async () => {
  const { seed, deliveries } = readModelArguments(Deno.args, 2_000);
  const binaries = await findPostgres(directory, "system").catch(() => undefined);
  if (binaries === undefined) {
    console.log("NOT RUN: this system has no PostgreSQL");
    return 0;
  }
  console.log(`${binaries.version} from ${binaries.origin}: a primary and a synchronous standby`);
  const pair = await startPair(directory, binaries);
  const options = {
    seed,
    deliveries,
    databaseUrl: pair.primaryUrl,
    servers: { url: pair.bothUrl, halfTime: () => pair.failOver() },
  };
  console.log(`seed ${seed} begins`);
  const result = await run(options);
  console.log(describe(options, result));
  if (result.disturbances["failover"] !== 1) {
    console.log("  DIFFERENCE: there was no failover");
    return 1;
  }
  return result.differences.length === 0 ? 0 : 1;
});

/** A contestant's process: does the requested work and measures it. */

import process from "node:process";
import { createInterface } from "node:readline";
// @ts-types="@types/pg"
import pg from "pg";
import { type Contestant, type Instance, instanceOf, type Job, MANY, secretOf } from "./common.ts";

/** The available pieces of work; each throws if it fails. */
type Pieces = (() => unknown)[];
type Works = Record<string, () => Pieces | Promise<Pieces>>;

const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));
const random = (below: number) => Math.floor(Math.random() * below);

function assert(holds: boolean): void {
  if (!holds) throw new Error("Doing a piece of work: it was not done");
}

function worksOf(contestant: Contestant, pool: pg.Pool, requests: Job["requests"]): Works {
  const webhook = async (handle: Contestant["handle"]): Promise<Pieces> => {
    await pool.query("TRUNCATE extension_instance, extension_instance_last_event");
    return requests.map((given) => new Request(...given))
      .map((request) => async () => assert((await handle(request)).status === 200));
  };
  const call = (run: (instance: Instance) => unknown): Pieces =>
    times(MANY, () => instanceOf(random(1_000))).map((instance) => () => run(instance));
  const select = (rows: number, count: number): Pieces =>
    times(count, () => async () => {
      const items = await contestant.select(rows);
      assert(items.length === rows && items[rows - 1]!.secret === secretOf(rows));
    });
  return {
    async coldStart() {
      assert((await contestant.handle(new Request(...requests[0]!))).status === 200);
      return [];
    },
    webhook: () => webhook(contestant.handle),
    webhookInOrder: () => webhook(contestant.handleInOrder ?? contestant.handle),
    upsert: () => call(contestant.upsert),
    rotate: () => call(contestant.rotate),
    update: () => call(contestant.update),
    get: () => call(async (given) => assert(await contestant.get(given) === given.secret)),
    selectOne: () =>
      times(64, () => 1 + random(10_000)).map((id) => async () =>
        assert((await contestant.selectOne(id))[0]?.secret === secretOf(id))
      ),
    select100: () => select(100, 16),
    select10000: () => select(10_000, 1),
    async insert1000() {
      await pool.query("TRUNCATE inserted");
      const items = times(1_000, (id) => ({ id, secret: secretOf(id) }));
      return [() => contestant.insert(items)];
    },
    selectPlain: () =>
      times(
        MANY,
        () => async () => assert((await contestant.selectPlain(random(1_000))).length === 1),
      ),
    async reencrypt() {
      await pool.query("VACUUM ANALYZE");
      const { rows: [{ count }] } = await pool.query("SELECT count(*)::int FROM reencrypted");
      return [async () => assert(await contestant.reencrypt!() === count)];
    },
  };
}

/** Repeats a piece of work for a time; resolves to the milliseconds per piece. */
async function measure(prepare: Works[string], time: number): Promise<number> {
  let pieces: Pieces = [];
  let next = 0;
  const lane = async () => {
    while (next < pieces.length) await pieces[next++]!();
  };
  // Not loaded by a cold start.
  const { Bench } = await import("tinybench");
  const bench = new Bench({ time, iterations: 1, warmup: false, throws: true });
  bench.add("slice", () => Promise.all(times(pieces.length < MANY ? 1 : 16, lane)), {
    async: true,
    beforeEach: async () => void ([pieces, next] = [await prepare(), 0]),
  });
  const { result } = (await bench.run())[0]!;
  if (!("latency" in result)) throw new Error(`Measuring: ${result.state}`);
  return result.latency.mean / pieces.length;
}

/** Runs a contestant until its input is closed. */
export async function start(create: (pool: pg.Pool, publicKey: string) => Contestant) {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const job: Job = JSON.parse((await lines.next()).value!);
  // Connections stay open during others' turns.
  const pool = new pg.Pool({ connectionString: job.url, max: 16, idleTimeoutMillis: 0 });
  pool.on("error", () => {}); // the server ends
  const contestant = create(pool, job.publicKey);
  const works = worksOf(contestant, pool, job.requests);
  for await (const line of lines) {
    const [name, ms] = JSON.parse(line);
    console.log(await (ms === 0 ? works[name]!() : measure(works[name]!, ms)));
  }
  process.exit();
}

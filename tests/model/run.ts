/** A run: plans, a sender, servers, what happens to them, and what is stored in the end. */

import postgres from "postgres";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { extensionInstanceDdl, lastEventDdl } from "../support/extension_instance.ts";
import { compare } from "./compare.ts";
import { ATTEMPT_TIMEOUT_MS, InstanceRun, pause } from "./instance_run.ts";
import { Random } from "./random.ts";
import { Replica } from "./replica.ts";
import { changeDdl } from "./tables.ts";
import { TcpProxy } from "./tcp_proxy.ts";

/** How many instances have something to tell at the same time. */
const AT_ONCE = 16;

/** After so many deliveries, on average, something happens to the servers or to a connection. */
const DISTURBED_EVERY = 30;

/** Longest time for a run, in milliseconds: some for its start, and some for each delivery. */
const limitMs = (deliveries: number) => 120_000 + 1_000 * deliveries;

/** How long the outage was, by the sender's clock. */
const OUTAGE_MS = 60 * 60 * 1000;

export interface RunOptions {
  readonly seed: number;
  /** How many attempts reach the servers at least. */
  readonly deliveries: number;
  /** URL of an empty database that is read at the end, and, without `servers`, of the servers' one. */
  readonly databaseUrl: string;
  /**
   * The servers' database, where they reach it without a proxy in between, and what happens to it when half of the
   * deliveries are made; it resolves to the URL to read at the end.
   */
  readonly servers?: { readonly url: string; halfTime(): Promise<string> };
  /** Whether servers use `lastEvents` and handlers. Default: `true`. */
  readonly fence?: boolean;
  /**
   * Whether the sender stamps each attempt anew. With `false` its clocks do not differ, and in the middle of the run
   * nothing is delivered for an hour by the times of the events. Default: `true`.
   */
  readonly restamp?: boolean;
}

export type RunResult = Awaited<ReturnType<typeof run>>;

/** Says what a run did, in a few lines. */
export function describe({ seed }: RunOptions, result: RunResult): string {
  const { instances, deliveries, disturbances, answers, differences } = result;
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ");
  return [
    `seed ${seed}: ${deliveries} deliveries for ${instances} instances`,
    `  what happened: ${list(disturbances)}`,
    `  what the sender saw: ${list(answers)}`,
    ...differences.map((difference) => `  DIFFERENCE: ${difference}`),
  ].join("\n");
}

export async function run(options: RunOptions) {
  const { seed, deliveries, databaseUrl, servers, fence = true, restamp = true } = options;
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  await sql.unsafe(extensionInstanceDdl + lastEventDdl + changeDdl).finally(() => sql.end());

  await using stack = new AsyncDisposableStack();
  const random = new Random(seed, "disturbances");
  const disturbances: Record<string, number> = {};
  const count = (counts: Record<string, number>, name: string) =>
    counts[name] = (counts[name] ?? 0) + 1;
  const replicas: Replica[] = [];
  let turn = 0;
  const front = stack.use(
    new TcpProxy(() => {
      const running = replicas.flatMap(({ endpoint }) => endpoint ?? []);
      return running[turn++ % running.length];
    }),
  );
  const mstudio = stack.use(
    await SimulatedMstudio.create({
      extensionId: "model",
      target: `http://127.0.0.1:${front.port}/webhooks`,
      attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      backoff: { initialMs: 50, maxMs: 2_000 },
      restamp,
    }),
  );
  const answered = () =>
    mstudio.deliveries.filter(({ responseCode }) => responseCode !== undefined).length;
  const api = stack.use(
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, mstudio.api),
  );
  const url = new URL(databaseUrl);
  const database = { hostname: url.hostname, port: Number(url.port || 5432) };
  // Each server has its own.
  const proxies = servers ? [] : [0, 1].map(() => stack.use(new TcpProxy(() => database)));
  for (const index of [0, 1]) {
    if (!servers) url.host = `127.0.0.1:${proxies[index]!.port}`;
    const env = {
      MODEL_DATABASE_URL: servers?.url ?? url.href,
      MODEL_API_URL: `http://127.0.0.1:${api.addr.port}`,
      MODEL_FENCE: fence ? "on" : "off",
    };
    const onCrash = () => count(disturbances, "server ended by the driver");
    replicas.push(stack.use(new Replica(env, onCrash)));
  }
  const startAll = () => Promise.all(replicas.map((replica) => replica.start()));
  const killAll = () => Promise.all(replicas.map((replica) => replica.kill()));
  await startAll();

  let offsetMs = restamp ? 0 : -OUTAGE_MS;
  let readUrl = databaseUrl;

  /** What happens once. */
  async function halfTime(): Promise<void> {
    if (servers) {
      count(disturbances, "failover");
      readUrl = await servers.halfTime();
    }
    if (!restamp) {
      count(disturbances, "outage");
      await killAll();
      await pause(ATTEMPT_TIMEOUT_MS);
      offsetMs = 0;
      await startAll();
    }
  }

  /** Has something happen to the servers or to a connection. */
  async function disturb(): Promise<void> {
    const kind = random.next();
    const proxy = proxies.length > 0 ? random.pick(proxies) : undefined;
    if (kind < 0.2) {
      count(disturbances, "server killed");
      const replica = random.pick(replicas);
      await replica.kill();
      await replica.start();
    } else if (kind < 0.3) {
      count(disturbances, "HTTP connections cut");
      front.cut();
    } else if (kind < 0.35) {
      count(disturbances, "signing key rotated");
      await mstudio.rotateSigningKey();
    } else if (kind < 0.75 && proxy) {
      count(disturbances, "database connections cut");
      proxy.cut();
    } else if (proxy) {
      // The other server goes on; what was stalled comes late.
      count(disturbances, "database connections stalled");
      await proxy.stall(random.between(100, 2 * ATTEMPT_TIMEOUT_MS));
      if (random.chance(0.3)) proxy.cut();
    }
  }

  let ended = false;
  async function disturbUntilEnd(): Promise<void> {
    const limit = Date.now() + limitMs(deliveries);
    let half = deliveries / 2;
    for (let next = 0; !ended;) {
      await pause(20);
      if (Date.now() > limit) {
        throw new Error(`Running the model test with seed ${seed}: it does not come to an end`);
      }
      const soFar = answered();
      if (soFar >= half) {
        half = Infinity;
        await halfTime();
      }
      if (soFar < next) continue;
      next = soFar + random.between(1, 2 * DISTURBED_EVERY);
      await disturb();
    }
  }

  const runs: InstanceRun[] = [];
  const work = async () => {
    while (answered() < deliveries) {
      const instance = new InstanceRun(
        { mstudio, seed, skewed: restamp, offsetMs: () => offsetMs },
        runs.length,
      );
      runs.push(instance);
      await instance.run();
    }
  };
  const working = Promise.all(Array.from({ length: AT_ONCE }, work)).finally(() => ended = true);
  await Promise.all([working, disturbUntilEnd()]);
  await mstudio.idle();
  await killAll();

  const told = new Map(runs.map((instance) => [instance.id, instance.told()]));
  const answers: Record<string, number> = {};
  for (const { responseCode, failure } of mstudio.deliveries) {
    count(answers, responseCode ?? failure ?? "other");
  }
  return {
    instances: runs.length,
    /** Attempts that were answered. */
    deliveries: answered(),
    disturbances,
    /** How often there was each. */
    answers,
    /** Whatever is stored and should not be, or the other way round. */
    differences: [
      ...replicas.flatMap(({ failures }) => failures.map((output) => `a server ended: ${output}`)),
      ...await compare(readUrl, told, fence),
    ],
  };
}

/** A run: plans, a sender, servers, what happens to them, and what is stored in the end. */

import postgres from "postgres";
import { type Delivery, SimulatedMstudio } from "../../testing/mod.ts";
import { extensionInstanceDdl, lastEventDdl } from "../support/extension_instance.ts";
import { InstanceRun } from "./instance_run.ts";
import { lastEvent, mayBeKept, type ToldEvent } from "./model.ts";
import { observe, type Observed } from "./observe.ts";
import { drawAll, type Plan } from "./plan.ts";
import { Random } from "./random.ts";
import { Replica } from "./replica.ts";
import { SenderClock } from "./sender_clock.ts";
import { changeDdl } from "./tables.ts";
import { TcpProxy } from "./tcp_proxy.ts";

/** How long an attempt may take, in milliseconds: short, so that attempts often end before their work does. */
const ATTEMPT_TIMEOUT_MS = 1_500;

/** How many instances have something to tell at the same time. */
const AT_ONCE = 16;

/** After so many deliveries, on average, something happens to the servers or to a connection. */
const DISTURBED_EVERY = 30;

/** Longest time for a run, in milliseconds: some for its start, and some for each delivery. */
const limitMs = (deliveries: number) => 120_000 + 1_000 * deliveries;

/** How long the outage was, by the sender's clock. */
const OUTAGE_MS = 60 * 60 * 1000;

/** What kind of run it is. */
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

/** What came of a run. */
export interface RunResult {
  readonly instances: number;
  /** Attempts that were answered. */
  readonly deliveries: number;
  /** What happened to servers and connections. */
  readonly disturbances: Readonly<Record<string, number>>;
  /** How often there was each answer. */
  readonly answers: Readonly<Record<string, number>>;
  /** Whatever is stored and should not be, or the other way round. */
  readonly differences: readonly string[];
}

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

/** Makes the tables. */
async function migrate(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  await sql.unsafe(extensionInstanceDdl + lastEventDdl + changeDdl).finally(() => sql.end());
}

/** Carries out a run. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { seed, deliveries, databaseUrl, servers, fence = true, restamp = true } = options;
  await migrate(databaseUrl);
  await using stack = new AsyncDisposableStack();

  const database = new URL(databaseUrl);
  const replicas: Replica[] = [];
  const databaseProxies: TcpProxy[] = [];
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
  const api = stack.use(
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, mstudio.api),
  );
  for (let count = 0; count < 2; count++) {
    const url = new URL(database);
    if (servers === undefined) {
      const endpoint = { hostname: database.hostname, port: Number(database.port || 5432) };
      const proxy = stack.use(new TcpProxy(() => endpoint));
      databaseProxies.push(proxy);
      url.host = `127.0.0.1:${proxy.port}`;
    }
    replicas.push(stack.use(
      new Replica({
        MODEL_DATABASE_URL: servers?.url ?? url.href,
        MODEL_API_URL: `http://127.0.0.1:${api.addr.port}`,
        MODEL_FENCE: fence ? "on" : "off",
      }, () => disturber.count("server ended by the driver")),
    ));
  }
  const disturber = new Disturber(seed, replicas, databaseProxies, front, mstudio);
  await Promise.all(replicas.map((replica) => replica.start()));

  const log = new Log(mstudio);
  const plans = drawAll(seed, deliveries);
  let offsetMs = restamp ? 0 : -OUTAGE_MS;
  let readUrl = databaseUrl;
  const runs = plans.map((plan, index) =>
    new InstanceRun(
      {
        mstudio,
        attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
        deliveriesOf: (id) => log.of(id),
      },
      plan,
      new SenderClock([seed, "clock", index], plan.skewed && restamp, () => offsetMs),
    )
  );

  const ended = new AbortController();
  const disturbing = (async () => {
    const limit = Date.now() + limitMs(deliveries);
    let half = deliveries / 2;
    for (let next = 0; !ended.signal.aborted;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (Date.now() > limit) {
        throw new Error(`Running the model test with seed ${seed}: it does not come to an end`);
      }
      if (log.answered >= half) {
        half = Infinity;
        if (servers) readUrl = await disturber.note("failover", () => servers.halfTime());
        if (!restamp) {
          await disturber.note("outage", () =>
            disturber.outage(() => {
              offsetMs = 0;
            }));
        }
      }
      if (log.answered < next) continue;
      next = log.answered + disturber.random.between(1, 2 * DISTURBED_EVERY);
      await disturber.disturb();
    }
  })();
  const working = inParallel(runs, AT_ONCE, (run) => run.run());
  working.catch(() => {});
  try {
    // Whichever fails first ends the other.
    await Promise.race([working, disturbing.then(() => working)]);
  } finally {
    ended.abort();
  }
  await disturbing;
  await mstudio.idle();

  // Whatever a server is still busy with may end; then nobody changes anything.
  await Promise.all(replicas.map((replica) => replica.kill()));
  const observed = await observe(readUrl);
  const told = new Map(plans.map(({ id }, index) => [id, runs[index]!.told()] as const));
  return {
    instances: plans.length,
    deliveries: log.answered,
    disturbances: disturber.counts,
    answers: log.answers,
    differences: [
      ...replicas.flatMap(({ failures }) => failures.map((output) => `a server ended: ${output}`)),
      ...differences(plans, told, observed, fence),
    ],
  };
}

/** The sender's log, by instance. */
class Log {
  readonly #mstudio: SimulatedMstudio;
  readonly #byInstance = new Map<string, Delivery[]>();
  readonly answers: Record<string, number> = {};
  #read = 0;
  #answered = 0;

  constructor(mstudio: SimulatedMstudio) {
    this.#mstudio = mstudio;
  }

  of(id: string): readonly Delivery[] {
    this.#update();
    return this.#byInstance.get(id) ?? [];
  }

  get answered(): number {
    this.#update();
    return this.#answered;
  }

  #update(): void {
    const { deliveries } = this.#mstudio;
    for (; this.#read < deliveries.length; this.#read++) {
      const delivery = deliveries[this.#read]!;
      const list = this.#byInstance.get(delivery.instanceId);
      if (list) list.push(delivery);
      else this.#byInstance.set(delivery.instanceId, [delivery]);
      const answer = delivery.responseCode ?? delivery.failure ?? "other";
      this.answers[answer] = (this.answers[answer] ?? 0) + 1;
      if (delivery.responseCode !== undefined) this.#answered++;
    }
  }
}

/** What happens to servers and connections. */
class Disturber {
  readonly random: Random;
  readonly counts: Record<string, number> = {};
  readonly #replicas: readonly Replica[];
  readonly #databaseProxies: readonly TcpProxy[];
  readonly #front: TcpProxy;
  readonly #mstudio: SimulatedMstudio;

  constructor(
    seed: number,
    replicas: readonly Replica[],
    databaseProxies: readonly TcpProxy[],
    front: TcpProxy,
    mstudio: SimulatedMstudio,
  ) {
    this.random = new Random(seed, "disturbances");
    this.#replicas = replicas;
    this.#databaseProxies = databaseProxies;
    this.#front = front;
    this.#mstudio = mstudio;
  }

  count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  async note<T>(name: string, happen: () => T | Promise<T>): Promise<T> {
    this.count(name);
    return await happen();
  }

  /** Has one of them happen. */
  async disturb(): Promise<void> {
    const kind = this.random.next();
    if (kind < 0.2) {
      const replica = this.random.pick(this.#replicas);
      await this.note("server killed", () => replica.kill());
      await replica.start();
    } else if (kind < 0.3) {
      await this.note("HTTP connections cut", () => this.#front.cut());
    } else if (kind < 0.35) {
      await this.note("signing key rotated", () => this.#mstudio.rotateSigningKey());
    } else if (this.#databaseProxies.length > 0) {
      const proxy = this.random.pick(this.#databaseProxies);
      if (kind < 0.75) {
        await this.note("database connections cut", () => proxy.cut());
      } else {
        // The other server goes on; what was stalled comes late.
        const ms = this.random.between(100, 2 * ATTEMPT_TIMEOUT_MS);
        await this.note("database connections stalled", () => proxy.stall(ms));
        if (this.random.chance(0.3)) proxy.cut();
      }
    }
  }

  /** All servers are down for a while. */
  async outage(meanwhile: () => void): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.kill()));
    await new Promise((resolve) => setTimeout(resolve, ATTEMPT_TIMEOUT_MS));
    meanwhile();
    await Promise.all(this.#replicas.map((replica) => replica.start()));
  }
}

/** Calls a function for each of many, some at the same time. */
async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Compares what is stored with the model. Without the fence there are rows of instances alone. */
function differences(
  plans: readonly Plan[],
  told: ReadonlyMap<string, readonly ToldEvent[]>,
  { states, lastEvents, changes }: Observed,
  fence: boolean,
): string[] {
  const found: string[] = [];
  for (const [index, { id }] of plans.entries()) {
    const events = told.get(id)!;
    const note = (what: string, stored: unknown, model: unknown) => {
      const steps = events.map(({ step, acknowledged }) => step.do + (acknowledged ? "" : "?"));
      found.push(
        `instance ${index} (${steps.join(" ")}): ${what}: stored ${JSON.stringify(stored)}, ` +
          `by the model ${JSON.stringify(model)}`,
      );
    };
    const kept = { state: states.get(id) ?? null, changes: changes.get(id) ?? [] };
    const possible = mayBeKept(events);
    const states_ = possible.map(({ state }) => state);
    if (!states_.some((state) => isSame(state, kept.state))) note("row", kept.state, states_[0]);
    if (!fence) continue;
    if (!possible.some(({ changes }) => isSame(changes, kept.changes))) {
      note("changes", kept.changes, possible.map(({ changes }) => changes));
    }
    const last = lastEvents.get(id);
    const expected = lastEvent(events);
    if (last?.kind !== expected.kind || !expected.createdAt.includes(last.createdAt)) {
      note("last event", last, expected);
    }
  }
  for (const [what, map] of Object.entries({ row: states, "last event": lastEvents, changes })) {
    for (const id of map.keys()) {
      if (!told.has(id)) found.push(`instance ${id}: ${what}: nobody told of it`);
    }
  }
  return found;
}

/** Whether two values are the same but for the order of properties. */
function isSame(one: unknown, other: unknown): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  return JSON.stringify(
    value,
    (_, part) =>
      part !== null && typeof part === "object" && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => a < b ? -1 : 1))
        : part,
  );
}

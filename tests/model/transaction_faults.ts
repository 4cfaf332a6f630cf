/**
 * Events with handlers, and all faults of their transactions: terminated backends, cut and stalled
 * connections, statements that time out on both sides, handlers that throw early, late or in one of
 * two branches, do not await, never end, or end the transaction themselves.
 *
 * The sender repeats each event until it succeeds. In the end the application has exactly one row
 * per change, nothing is left open, and the pool has all its clients back.
 */

import { sql } from "drizzle-orm";
import { pgTable, serial, text } from "drizzle-orm/pg-core";
import { type ChangeHandlers, PgExtensionStorage } from "../../mod.ts";
import { poll, query } from "../../tools/postgres/databases.ts";
import {
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "../support/extension_instance.ts";
import type { AnyDatabase } from "../suites/suite.ts";
import { pause, randomOf } from "./instance.ts";
import { TcpProxy } from "./tcp_proxy.ts";

/** How many instances have events at the same time. */
const AT_ONCE = 6;

/** Time limit of an event in milliseconds. */
const TIMEOUT_MS = 1_500;

/** Time limit for anything in milliseconds: longer means it hangs. */
const HANGS_AFTER_MS = 30_000;

/** The counter for faults of the driver. */
const DRIVER_FAULT = "driver at fault";

/** The handlers' table: one row per committed call. */
const calls = pgTable("call", {
  id: serial().primaryKey(),
  instanceId: text("instance_id").notNull(),
  /** The change and its value. */
  change: text().notNull(),
});

/** The tested driver's client. */
export interface FaultyClient {
  readonly db: AnyDatabase;
  /** Faults of the pool when nothing is running. */
  check(): Promise<string[]>;
  close(): Promise<unknown>;
}

export interface FaultOptions {
  readonly seed: number;
  readonly seconds: number;
  /** URL of an empty database. */
  readonly url: string;
  /** Connects to it through a proxy's URL, with at least four connections. */
  connect(url: string): FaultyClient;
  /** Whether a stack shows a fault of the driver itself, which loses a connection. */
  readonly isDriverFault?: ((stack: string) => boolean) | undefined;
}

export interface FaultResult {
  /** Counts of faults and outcomes. */
  readonly counts: Readonly<Record<string, number>>;
  readonly differences: readonly string[];
}

/** Summarises a run in a few lines. */
export function describeFaults({ seed }: FaultOptions, { counts, differences }: FaultResult) {
  const list = Object.entries(counts).sort().map(([name, count]) => `${count} ${name}`);
  return [`seed ${seed}: ${list.join(", ")}`, ...differences].join("\n  ");
}

type Random = ReturnType<typeof randomOf>;

/** A share of all cases, from 0 up to, but not including, 1. */
const drawShare = ({ between }: Random) => between(0, 9_999) / 10_000;

type Handlers = Required<ChangeHandlers<typeof extensionInstances, AnyDatabase>>;
type Change = Pick<
  Parameters<NonNullable<Handlers["added" | "removed"]>>[0],
  "instance" | "tx"
>;

/** Runs the test. */
export async function runFaults(options: FaultOptions): Promise<FaultResult> {
  const { seed, seconds, url } = options;
  await query(
    url,
    `${extensionInstanceDdl} ${lastEventDdl} CREATE TABLE "call"
     (id serial PRIMARY KEY, instance_id text NOT NULL, change text NOT NULL)`,
  );
  const counts: Record<string, number> = {};
  const count = (name: string) => counts[name] = (counts[name] ?? 0) + 1;
  const differences: string[] = [];
  let begin = () => {};
  const uncaught = (event: ErrorEvent | PromiseRejectionEvent) => {
    event.preventDefault();
    const error = "reason" in event ? event.reason : event.error;
    const stack = String(error?.stack ?? error);
    if (options.isDriverFault?.(stack)) {
      // An application that it terminates is restarted.
      count(DRIVER_FAULT);
      begin();
    } else differences.push(`uncaught: ${stack}`);
  };
  addEventListener("error", uncaught);
  addEventListener("unhandledrejection", uncaught);
  const server = new URL(url);
  await using proxy = new TcpProxy(() => ({
    hostname: server.hostname,
    port: Number(server.port || 5432),
  }));
  const through = new URL(url);
  through.host = `127.0.0.1:${proxy.port}`;
  const clients: FaultyClient[] = [];
  let storage: PgExtensionStorage<typeof extensionInstances, AnyDatabase>;
  try {
    const end = Date.now() + 1000 * seconds;
    const expected: [instanceId: string, change: string][] = [];

    const draw = randomOf(`${seed} handlers`);
    const note = ({ instance, tx }: Change, change: string) =>
      tx.insert(calls).values({ instanceId: instance.id, change });
    const misbehave = async (change: Change, name: string): Promise<unknown> => {
      const write = () => note(change, name);
      const { tx } = change;
      // The probe's handlers behave.
      const kind = change.instance.id.startsWith("probe") ? 1 : drawShare(draw);
      const branch = draw.between(0, 5);
      const fail = () => Promise.reject(new Error("on purpose"));
      const did = (what: string) => count(`handler ${what}`);
      if (kind < 0.05) return did("throws early"), await fail();
      if (kind < 0.10) return did("throws late"), await write(), await fail();
      if (kind < 0.15) {
        did("throws in one of two branches");
        const slow = async () => {
          await write();
          await pause(branch);
          await write();
          await write();
        };
        return await Promise.all([slow(), pause(branch).then(fail)]);
      }
      if (kind < 0.18) {
        did("does not wait");
        void write().catch(() => {});
        void (async () => (await write(), await pause(branch), await write()))().catch(() => {});
        return;
      }
      if (kind < 0.20) return did("never ends"), await write(), await new Promise(() => {});
      if (kind < 0.23) {
        did("is slow");
        await write();
        return await tx.execute("SELECT pg_sleep(3)");
      }
      if (kind < 0.26) {
        did("hides an error");
        await write();
        return await Promise.resolve(tx.execute("SELECT 1/0")).catch(() => {});
      }
      if (kind < 0.28) {
        did("rolls back in part");
        await Promise.resolve(tx.transaction(async (inner) => {
          await note({ ...change, tx: inner as typeof tx }, "never");
          inner.rollback();
        })).catch(() => {});
        return await write();
      }
      if (kind < 0.30) return did("rolls back"), await write(), await tx.execute("ROLLBACK");
      // A removal's handler commits before the row is deleted, so it runs again.
      if (kind < 0.31 && name !== "removed") {
        return did("commits"), await write(), await tx.execute("COMMIT");
      }
      if (kind < 0.32) {
        did("ends its own connection");
        await write();
        return await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())");
      }
      return await write();
    };
    const on: Handlers = {
      added: (change) => misbehave(change, `added ${change.instance.secret}`),
      updated: (change) => misbehave(change, `updated ${change.instance.variantKey}`),
      secretRotated: (change) => misbehave(change, `rotated ${change.instance.secret}`),
      removed: (change) => misbehave(change, "removed"),
    };
    begin = () => {
      const client = options.connect(through.href);
      clients.push(client);
      storage = new PgExtensionStorage(client.db, extensionInstances, {
        lastEvents,
        on,
        timeoutMs: TIMEOUT_MS,
      });
    };
    begin();

    const restartIfSilent = async () => {
      const client = clients.at(-1)!;
      const isSilent = (await takeAll(client.db, 4)).length > 0;
      if (!isSilent || client !== clients.at(-1)) return;
      count(DRIVER_FAULT);
      begin();
    };

    /** Attempts an event until it succeeds, sometimes twice at once. */
    const tell = async (
      random: Random,
      instanceId: string,
      change: string,
      deliver: (time: { occurredAt: Date; requestId: string }) => Promise<void>,
    ) => {
      expected.push([instanceId, change]);
      let lastError: unknown;
      const attempt = async () => {
        const time = { occurredAt: new Date(), requestId: crypto.randomUUID() };
        let timer: ReturnType<typeof setTimeout> | undefined;
        const hangs = new Promise<never>((_, reject) => {
          timer = setTimeout(() => {
            differences.push(`${instanceId} ${change}: an attempt hangs`);
            reject(new Error("hangs"));
          }, HANGS_AFTER_MS);
        });
        try {
          await Promise.race([deliver(time), hangs]);
          count("success");
          return true;
        } catch (error) {
          count((error as { code?: string }).code ?? String(error));
          lastError = error;
          return false;
        } finally {
          clearTimeout(timer);
        }
      };
      for (let tries = 0;; tries++) {
        const twice = random.chance(0.15);
        const results = await Promise.all([attempt(), ...twice ? [attempt()] : []]);
        if (results.includes(true)) return;
        // A postgres.js client can stall after a connection broke; its own statements show it.
        if (options.isDriverFault && tries % 5 === 4) await restartIfSilent();
        if (Date.now() > end + HANGS_AFTER_MS) {
          const sessions = await query(
            url,
            `SELECT state, wait_event, now() - xact_start AS age, query FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()`,
          );
          throw new Error(
            `seed ${seed}: ${instanceId} ${change} does not come to an end: ${lastError}, ${
              JSON.stringify([counts, sessions])
            }`,
            { cause: lastError },
          );
        }
        await pause(random.between(1, 50));
      }
    };
    const live = async (random: Random, id: string, steps: number) => {
      const state = { extensionInstanceId: id, contextId: "c", consentedScopes: [], enabled: true };
      let secret = "0";
      let variantKey = "";
      await tell(
        random,
        id,
        `added ${secret}`,
        (time) => storage.upsertExtension({ ...state, secret, ...time }),
      );
      for (let step = 1; step <= steps; step++) {
        if (random.chance(0.5)) {
          variantKey = `${step}`;
          const update = { ...state, variantKey };
          await tell(
            random,
            id,
            `updated ${variantKey}`,
            (time) => storage.updateExtension({ ...update, ...time }),
          );
        } else {
          secret = `${step}`;
          const told = secret;
          await tell(random, id, `rotated ${told}`, (time) => storage.rotateSecret(id, told, time));
        }
      }
      await tell(random, id, "removed", (time) => storage.removeInstance(id, time));
    };
    let instances = 0;
    const work = async (name: string) => {
      do {
        const random = randomOf(`${seed} ${name} ${instances++}`);
        await live(random, `${name} ${instances}`, random.between(1, 4));
        count(`${name}s lived`);
      } while (Date.now() < end);
    };

    let working = true;
    const disturb = async () => {
      const random = randomOf(`${seed} disturbances`);
      while (Date.now() < end && working) {
        await pause(random.between(20, 300));
        const kind = drawShare(random);
        if (kind < 0.6) {
          count("backend ended");
          await query(
            url,
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1
             OFFSET ${random.between(0, 3)}`,
          );
        } else if (kind < 0.8) {
          count("connections cut");
          proxy.cut();
        } else {
          count("connections stalled");
          await proxy.stall(random.between(50, 700));
        }
      }
    };
    await Promise.all([
      Promise.all([...Array.from({ length: AT_ONCE }, () => work("instance")), work("probe")])
        .finally(() => working = false),
      disturb(),
    ]);

    // The server ends what the storage had to abandon.
    const open = () =>
      query(
        url,
        `SELECT state, query FROM pg_stat_activity WHERE datname = current_database()
         AND pid <> pg_backend_pid() AND (state = 'active' OR xact_start IS NOT NULL)`,
      );
    await poll(async () => (await open()).length === 0, { timeoutMs: 20_000 }).catch(() => {});
    for (const { state, query } of await open()) differences.push(`left open: ${state}, ${query}`);
    differences.push(...await clients.at(-1)!.check());
    const rows = await query(url, `SELECT instance_id, change FROM "call"`);
    const found = Map.groupBy(rows, ({ instance_id, change }) => `${instance_id}: ${change}`);
    for (const [id, change] of expected) {
      const times = found.get(`${id}: ${change}`)?.length ?? 0;
      found.delete(`${id}: ${change}`);
      if (times !== 1) differences.push(`${id}: ${change}: ${times} times`);
    }
    for (const call of found.keys()) differences.push(`${call}: nobody told of it`);
    counts["events"] = expected.length;
    const left = await query(url, "SELECT id FROM extension_instance");
    if (left.length > 0) differences.push(`${left.length} instances are left`);
  } finally {
    for (const client of clients) await client.close();
    removeEventListener("error", uncaught);
    removeEventListener("unhandledrejection", uncaught);
  }
  return { counts, differences };
}

/** Takes all connections of a client at once: a lost one never arrives. */
export async function takeAll(db: AnyDatabase, connections: number): Promise<string[]> {
  const all = Promise.allSettled(
    Array.from({ length: connections }, () => db.execute(sql`select pg_sleep(0.2)`)),
  );
  const taken = await Promise.race([all, pause(10_000)]);
  return taken ? [] : [`not all of ${connections} connections can be had`];
}

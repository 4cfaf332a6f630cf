/** The storage's transactions on real pools, with faults of pool, server and handlers. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { pgTable, text, withReplicas } from "drizzle-orm/pg-core";
import { drizzle as drizzlePgProxy } from "drizzle-orm/pg-proxy";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
// @ts-types="@types/pg"
import pg from "pg";
import postgres from "postgres";
import { DeadlineExceededError, UnknownExtensionInstanceError } from "../errors.ts";
import {
  type ChangeHandlers,
  HandlerFailedError,
  PgExtensionStorage,
  type PgExtensionStorageOptions,
  StorageError,
  withEncryption,
} from "../pg/mod.ts";
import { InstanceTokens } from "../tokens/mod.ts";
import { closingOf } from "./runtimes/close_pool.ts";
import { events, ID, INSTANCE } from "./suites/instances.ts";
import { type AnyDatabase, sqlStateOf } from "./suites/suite.ts";
import {
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "./support/extension_instance.ts";
import { issued } from "./tokens/support.ts";
import { createDatabase, poll, query } from "../tools/postgres/databases.ts";

const sites = pgTable("site", { instanceId: text("instance_id").notNull() });

type Handlers = ChangeHandlers<typeof extensionInstances, AnyDatabase>;
type Added = Parameters<NonNullable<Handlers["added"]>>[0];

/** A database with the tables, and queries that bypass the tested driver. */
async function openDatabase() {
  const database = await createDatabase();
  const { url } = database;
  const sql = (statement: string) => query(url, statement);
  await sql(
    `${extensionInstanceDdl} ${lastEventDdl} CREATE TABLE site (instance_id text NOT NULL)`,
  );
  return {
    url,
    sql,
    /** The instances for which the handler wrote a row, once per row. */
    written: async () =>
      (await sql("SELECT instance_id AS id FROM site ORDER BY 1")).map(({ id }) => id),
    stored: async () =>
      (await sql("SELECT id FROM extension_instance ORDER BY 1")).map(({ id }) => id),
    /** Counts the other sessions in a state. */
    sessions: async (condition: string) =>
      (await sql(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
         AND pid <> pg_backend_pid() AND ${condition}`,
      )).length,
    [Symbol.asyncDispose]: () => database.drop(),
  };
}

/** A node-postgres pool, which reports lost idle connections. */
function openPool(connectionString: string, config: pg.PoolConfig = {}) {
  const pool = new pg.Pool({ connectionString, max: 4, ...config });
  const close = closingOf(pool);
  pool.on("error", () => {});
  return {
    pool,
    db: drizzleNodePostgres(pool) as AnyDatabase,
    /** How many clients are checked out. */
    missing: () => pool.totalCount - pool.idleCount,
    [Symbol.asyncDispose]: close,
  };
}

function openPostgresJs(url: string, options: { max?: number } = {}) {
  const client = postgres(url, { max: 4, onnotice: () => {}, ...options });
  return {
    client,
    db: drizzlePostgresJs(client) as unknown as AnyDatabase,
    // Without a limit it would wait forever for connections that broke in a statement.
    [Symbol.asyncDispose]: () => client.end({ timeout: 1 }),
  };
}

const open = {
  "node-postgres": (url: string, options: { max?: number } = {}) => openPool(url, options),
  "postgres.js": openPostgresJs,
};

const storageOn = (
  db: AnyDatabase,
  on: Handlers,
  options: Partial<PgExtensionStorageOptions> = {},
) => new PgExtensionStorage(db, extensionInstances, { ...options, lastEvents, on });

const write = async ({ instance, tx }: Added) => {
  await tx.insert(sites).values({ instanceId: instance.id });
};

const named = (extensionInstanceId: string) => ({ ...INSTANCE, extensionInstanceId });

for (const [driver, openClient] of Object.entries(open)) {
  const test = (
    name: string,
    run: (database: Awaited<ReturnType<typeof openDatabase>>) => Promise<void>,
  ) =>
    Deno.test(`transactions (${driver}): ${name}`, async () => {
      await using database = await openDatabase();
      await run(database);
    });

  test("a connection with an open transaction: an error, nothing of either is stored", async ({ url, written, stored }) => {
    await using client = openClient(url, { max: 1 });
    const storage = storageOn(client.db, { added: write });
    await client.db.execute("BEGIN");
    await client.db.execute("INSERT INTO site VALUES ('somebody''s')");
    const error = await assertRejects(() => storage.upsertExtension(INSTANCE), StorageError);
    assertEquals(
      error.message,
      "Running upsertExtension: the connection already had an open transaction",
    );
    assertEquals([await written(), await stored()], [[], []]);
    await storage.upsertExtension(INSTANCE);
    assertEquals([await written(), await stored()], [[ID], [ID]]);
  });

  test("connections that the server ends, idle in a handler or in its statement: errors, then recovery", async ({ url, sql, written }) => {
    await using client = openClient(url);
    const pid = async (tx: AnyDatabase) => {
      const result = await tx.execute("SELECT pg_backend_pid() AS pid");
      const [row] = Array.isArray(result)
        ? result
        : (result as unknown as { rows: unknown[] }).rows;
      return (row as { pid: number }).pid;
    };
    const late: Promise<unknown>[] = [];
    const failures = [
      async (tx: AnyDatabase) => {
        await sql(`SELECT pg_terminate_backend(${await pid(tx)})`);
        // The driver may have ended the transaction and reconnected.
        await new Promise((resolve) => setTimeout(resolve, 300));
        const writing = tx.insert(sites).values({ instanceId: "late" });
        late.push(writing.then(() => {}, () => {}));
        await writing;
      },
      (tx: AnyDatabase) => tx.execute("SELECT pg_terminate_backend(pg_backend_pid())"),
      async (tx: AnyDatabase) => {
        await tx.execute("SET LOCAL idle_in_transaction_session_timeout = 50");
        await new Promise((resolve) => setTimeout(resolve, 300));
      },
    ];
    let failure: typeof failures[number] | undefined;
    const storage = storageOn(client.db, {
      async added(change) {
        await write(change);
        await failure?.(change.tx);
      },
    });
    for (failure of failures) {
      const error = await assertRejects(() => storage.upsertExtension(INSTANCE), Error);
      assert(error instanceof HandlerFailedError || error instanceof StorageError);
    }
    failure = undefined;
    await poll(() => late.length === 1);
    await Promise.all(late);
    await storage.upsertExtension(INSTANCE);
    assertEquals(await written(), [ID]);
    if ("missing" in client) assertEquals(client.missing(), 0);
  });

  test("a handler that never ends costs one connection until its time limit, then none", async ({ url, sessions, written }) => {
    await using client = openClient(url);
    let calls = 0;
    const hanging = storageOn(client.db, {
      added: () => {
        calls++;
        return new Promise(() => {});
      },
    }, { timeoutMs: 2_000 });
    const storage = storageOn(client.db, { added: write });
    const attempts = Array.from({ length: 12 }, () => hanging.upsertExtension(INSTANCE));
    for (const attempt of attempts) attempt.catch(() => {});
    await poll(() => calls > 0);
    for (const id of ["a", "b", "c"]) await storage.upsertExtension(named(id));
    assertEquals(await sessions("xact_start IS NOT NULL"), 1);
    assertEquals(await written(), ["a", "b", "c"]);
    for (const attempt of attempts) await assertRejects(() => attempt, DeadlineExceededError);
    // On postgres.js, the server ends an attempt whose time limit passed in a statement.
    await poll(async () => await sessions("xact_start IS NOT NULL") === 0);
    if ("missing" in client) assertEquals(client.missing(), 0);
    await storage.upsertExtension(INSTANCE);
    assertEquals(await written(), [ID, "a", "b", "c"]);
  });

  test("a handler that takes a second connection of a pool of one: time limit, then recovery", async ({ url, written }) => {
    await using client = openClient(url, { max: 1 });
    const careless = storageOn(client.db, {
      added: async () => void await client.db.select().from(sites),
    }, { timeoutMs: 500 });
    await assertRejects(() => careless.upsertExtension(INSTANCE), DeadlineExceededError);
    await storageOn(client.db, { added: write }).upsertExtension(INSTANCE);
    assertEquals(await written(), [ID]);
  });

  test("an added handler gets no access token: its instance is stored only after it", async ({ url }) => {
    await using client = openClient(url);
    const requests: unknown[] = [];
    const fetch = (_: unknown, init?: RequestInit) => {
      requests.push(JSON.parse(String(init?.body)));
      return Promise.resolve(issued("token"));
    };
    const tokens = new InstanceTokens({ storage: storageOn(client.db, {}), fetch });
    let refused: unknown;
    const storage = storageOn(client.db, {
      added: async ({ instance }) => {
        refused = await tokens.get(instance.id).catch((error) => error);
      },
    });
    await storage.upsertExtension(INSTANCE);
    assert(refused instanceof UnknownExtensionInstanceError);
    assertEquals(requests, []);
    assertEquals(await tokens.get(ID), "token");
    assertEquals(requests, [{ extensionInstanceSecret: INSTANCE.secret }]);
  });

  test("the server ends a statement that exceeds the remaining time", async ({ url, sessions, written }) => {
    await using client = openClient(url);
    let slow = true;
    const storage = storageOn(client.db, {
      async added(change) {
        await write(change);
        if (slow) await change.tx.execute("SELECT pg_sleep(60)");
      },
    }, { timeoutMs: 700 });
    await assertRejects(() => storage.upsertExtension(INSTANCE), Error);
    await poll(async () => await sessions("state = 'active'") === 0);
    slow = false;
    await storage.upsertExtension(INSTANCE);
    assertEquals(await written(), [ID]);
  });

  test("serializable by default, 40 instances at once: each change once", async ({ url, sql, written }) => {
    const [{ name } = {}] = await sql("SELECT current_database() AS name");
    await sql(`ALTER DATABASE "${name}" SET default_transaction_isolation TO 'serializable'`);
    await using client = openClient(url);
    const storage = storageOn(client.db, { added: write }, { timeoutMs: 60_000 });
    const ids = Array.from({ length: 40 }, (_, index) => `instance ${100 + index}`);
    await Promise.all(ids.map((id) => storage.upsertExtension(named(id))));
    assertEquals(await written(), ids);
  });

  test("a database with replicas: the storage writes and reads on the primary", async ({ url, written }) => {
    await using client = openClient(url);
    const replica = drizzlePgProxy(() =>
      Promise.reject(new Error("asked"))
    ) as unknown as AnyDatabase;
    const databases = [
      withReplicas(client.db as never, [replica as never]),
      withReplicas(withEncryption(client.db) as never, [withEncryption(replica) as never]),
    ] as unknown as AnyDatabase[];
    for (const [index, db] of databases.entries()) {
      const storage = storageOn(db, { added: write });
      await storage.verify();
      for (const event of Object.values(events)) {
        await event(storage);
        assertEquals(
          (await storage.getExtension(ID))?.contextId,
          event === events.removeInstance ? undefined : INSTANCE.contextId,
        );
        await storage.getInstance(ID);
      }
      assertEquals(await storage.forgetRemoved(new Date()), 1);
      assertEquals((await written()).length, index + 1);
    }
  });
}

Deno.test("transactions (node-postgres): query_timeout: nothing of a failed transaction is committed", async () => {
  await using database = await openDatabase();
  const { url, written, stored } = database;
  await using client = openPool(url, { max: 1, query_timeout: 500 });
  let slow = true;
  const storage = storageOn(client.db, {
    async added(change) {
      await write(change);
      if (slow && change.instance.id === ID) await change.tx.execute("SELECT pg_sleep(2)");
    },
  });
  await assertRejects(() => storage.upsertExtension(INSTANCE), Error);
  // On a busy machine any statement may take that long; mittwald would retry, too.
  const again = (instance: typeof INSTANCE) =>
    poll(() => storage.upsertExtension(instance).then(() => true));
  await again(named("another"));
  assertEquals([await written(), await stored()], [["another"], ["another"]]);
  slow = false;
  await again(INSTANCE);
  assertEquals([await written(), await stored()], [[ID, "another"], [ID, "another"]]);
  assertEquals(client.missing(), 0);
});

Deno.test("transactions (node-postgres): a BEGIN that fails leaks no client", async () => {
  await using database = await openDatabase();
  await using client = openPool(database.url, { max: 2 });
  const storage = storageOn(client.db, { added: write });
  for (let time = 0; time < 3; time++) {
    for (const statement of ["BEGIN", "SELECT 1"]) await client.db.execute(statement);
    const error = await assertRejects(() => storage.upsertExtension(INSTANCE), StorageError);
    assertEquals(sqlStateOf(error.cause), "25001");
    assertEquals(client.pool.totalCount, 0);
  }
  await storage.upsertExtension(INSTANCE);
  assertEquals(await database.written(), [ID]);
});

Deno.test("transactions (node-postgres): a late client returns to the pool", async () => {
  await using database = await openDatabase();
  await using client = openPool(database.url, { max: 1 });
  const on = { added: write, secretRotated: write };
  const storage = storageOn(client.db, on);
  const hurried = storageOn(client.db, on, { timeoutMs: 300 });
  await storage.upsertExtension(INSTANCE);
  const taken = await client.pool.connect();
  const late = assertRejects(() => hurried.rotateSecret(ID, "second"), DeadlineExceededError);
  const waiting = late.then(() => [client.pool.waitingCount, client.missing()]);
  await waiting.finally(() => taken.release());
  assertEquals(await waiting, [1, 1]);
  await poll(() => client.missing() === 0);
  await storage.rotateSecret(ID, "second");
  assertEquals(await database.written(), [ID, ID]);
});

Deno.test("transactions (node-postgres): on a single connection one event follows the other", async () => {
  await using database = await openDatabase();
  const { url, written, stored } = database;
  const connection = new pg.Client({ connectionString: url });
  await connection.connect();
  try {
    const db = drizzleNodePostgres(connection) as AnyDatabase;
    const storage = storageOn(db, {
      async added(change) {
        await write(change);
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (change.instance.id.startsWith("fails")) throw new Error("on purpose");
      },
    });
    // Without a handler there is no transaction; in another event's it would be rolled back with
    // it.
    const plain = new PgExtensionStorage(db, extensionInstances, { lastEvents });
    const results = await Promise.allSettled([
      storage.upsertExtension(named("fails 1")),
      plain.upsertExtension(named("plain 1")),
      storage.upsertExtension(named("works")),
      storage.upsertExtension(named("fails 2")),
      plain.upsertExtension(named("plain 2")),
    ]);
    const succeeded = results.map(({ status }) => status === "fulfilled");
    assertEquals(succeeded, [false, true, true, false, true]);
    assertEquals([await written(), await stored()], [["works"], ["plain 1", "plain 2", "works"]]);
  } finally {
    await connection.end();
  }
});

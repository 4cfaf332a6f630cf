import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { text } from "drizzle-orm/pg-core";
import { drizzle as drizzlePgProxy } from "drizzle-orm/pg-proxy";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
// @ts-types="@types/pg"
import pg from "pg";
import postgres from "postgres";
import {
  buildExtensionInstanceTable,
  buildLastEventTable,
  type EncryptedTextColumn,
  PgExtensionStorage,
  StorageError,
} from "../mod.ts";
import { changes } from "./suites/changes.ts";
import { ID, INSTANCE } from "./suites/instances.ts";
import { order } from "./suites/order.ts";
import { recovery } from "./suites/recovery.ts";
import { storage } from "./suites/storage.ts";
import { drivers, testOnEachDriver } from "./support/drivers.ts";
import {
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "./support/extension_instance.ts";
import { startServer } from "../tools/postgres/databases.ts";

testOnEachDriver("storage", storage);
testOnEachDriver("order", order);
testOnEachDriver("changes", changes);
testOnEachDriver("recovery", recovery);

const CREATING = "Creating an extension storage: ";

/** Fails if it is queried: invalid arguments are refused first. */
const nowhere = drizzlePgProxy(() => Promise.reject(new Error("asked")));

Deno.test("storage: invalid options are refused, an empty object is the default", () => {
  const on = { added: () => {} };
  const UNKNOWN = 'the option unknownInstances is neither "error" nor "ignore"';
  const refused: [unknown, string][] = [
    [null, "the options are not an object"],
    ["ignore", "the options are not an object"],
    [{ unknownInstance: "ignore" }, 'there is no option "unknownInstance"'],
    [{ unknownInstances: "drop" }, UNKNOWN],
    [{ unknownInstances: true }, UNKNOWN],
    [{ lastEvents: null }, "lastEvents is not a table built by buildLastEventTable"],
    [
      { lastEvents: extensionInstances },
      "lastEvents is not a table built by buildLastEventTable",
    ],
    [{ on }, "the option on needs the option lastEvents"],
    [{ on: {} }, "the option on needs the option lastEvents"],
    [{ lastEvents, on: null }, "reading the option on: the options are not an object"],
    [{ lastEvents, on: { add: on.added } }, 'reading the option on: there is no option "add"'],
    [{ lastEvents, on: { removed: true } }, "the option on.removed is not a function"],
  ];
  const create = (options: unknown) =>
    new PgExtensionStorage(nowhere, extensionInstances, options as { lastEvents: never });
  for (const [options, message] of refused) {
    assertEquals(assertThrows(() => create(options), TypeError).message, CREATING + message);
  }
  for (const options of [undefined, {}, { unknownInstances: undefined, lastEvents: undefined }]) {
    create(options);
  }
});

Deno.test("storage: an invalid table, or one without encrypted secrets, is refused", () => {
  const NO_TABLE = "table is not a table built by buildExtensionInstanceTable";
  const plain = buildExtensionInstanceTable(text as unknown as EncryptedTextColumn);
  const refused: [unknown, string][] = [
    [plain, "the column secret of the table is not encrypted, "],
    [buildLastEventTable(), NO_TABLE],
    [undefined, NO_TABLE],
  ];
  const noDatabase = () => new PgExtensionStorage({} as typeof nowhere, extensionInstances);
  assertThrows(noDatabase, TypeError, "it is not a PostgreSQL database of Drizzle");
  for (const [table, message] of refused) {
    const create = () => new PgExtensionStorage(nowhere, table as typeof extensionInstances);
    assertThrows(create, TypeError, CREATING + message);
  }
});

Deno.test("storage: handlers on a driver that refuses transactions only in use", async () => {
  const db = drizzlePostgresJs(postgres("postgres://nobody@127.0.0.1:1/nothing"));
  const nothing = { from: () => ({ where: () => ({ $withCache: () => Promise.resolve([]) }) }) };
  Object.assign(db, {
    transaction: () => Promise.reject(new Error("Transactions are not supported by this driver")),
    select: () => nothing,
  });
  const on = { added: () => {} };
  const storage = new PgExtensionStorage(db, extensionInstances, { lastEvents, on });
  const error = await assertRejects(() => storage.upsertExtension(INSTANCE), TypeError);
  assertEquals(
    error.message,
    "Creating a storage with handlers: the database's driver has no transactions",
  );
});

Deno.test("storage: a stopped server is a StorageError, and everything works when it is back", async () => {
  await using server = await startServer();
  const pool = new pg.Pool({ connectionString: server.url, max: 1 });
  // The pool reports lost idle connections here; without a listener it would throw.
  pool.on("error", () => {});
  try {
    await pool.query(extensionInstanceDdl);
    const storage = new PgExtensionStorage(drizzleNodePostgres(pool), extensionInstances);
    await storage.upsertExtension(INSTANCE);
    await server.stop();
    const attempts = {
      upsertExtension: () => storage.upsertExtension({ ...INSTANCE, secret: "lost" }),
      rotateSecret: () => storage.rotateSecret(ID, "lost"),
      getExtension: () => storage.getExtension(ID),
    };
    for (const [operation, attempt] of Object.entries(attempts)) {
      const error = await assertRejects(async () => void await attempt(), StorageError);
      assertEquals([error.code, error.operation], ["ERR_STORAGE_FAILED", operation]);
      assert(error.cause instanceof Error);
      assert(!String(error.stack).includes("lost"));
    }
    await server.start();
    assertEquals((await storage.getExtension(ID))?.secret, INSTANCE.secret);
    await storage.rotateSecret(ID, "kept");
    assertEquals((await storage.getExtension(ID))?.secret, "kept");
  } finally {
    await pool.end();
  }
});

Deno.test("storage: keys that decrypt without waiting: nothing is read before the transaction", async () => {
  await using context = await drivers.PGlite();
  await context.sql(`${extensionInstanceDdl} ${lastEventDdl}`);
  const log: string[] = [];
  const db = context.open({ logger: { logQuery: (query) => log.push(query) } });
  const on = { secretRotated: () => {} };
  const storage = new PgExtensionStorage(db, extensionInstances, { lastEvents, on });
  await storage.upsertExtension(INSTANCE);
  log.length = 0;
  await storage.rotateSecret(ID, "second");
  const tables = log.flatMap((query) => /(?:from|into|update) "(\w+)"/.exec(query)?.[1] ?? []);
  const [instance, event] = ["extension_instance", "extension_instance_last_event"];
  assertEquals(tables, [event, instance, instance, instance]);
});

for (const driver of ["postgres.js", "node-postgres"] as const) {
  Deno.test(`storage (${driver}): the time zones of server and client do not matter`, async () => {
    await using context = await drivers[driver]();
    await context.sql(extensionInstanceDdl);
    const [{ name } = {}] = await context.sql("SELECT current_database() AS name");
    await context.sql(`ALTER DATABASE "${name}" SET timezone TO 'America/New_York'`);
    const storage = new PgExtensionStorage(context.open(), extensionInstances);
    const before = Date.now();
    await storage.upsertExtension(INSTANCE);
    const row = await storage.getExtension(ID);
    assertEquals(row?.createdAt, row?.updatedAt);
    assert(row!.createdAt.getTime() >= before && row!.createdAt.getTime() <= Date.now());
  });
}

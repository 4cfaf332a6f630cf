import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
// @ts-types="@types/pg"
import pg from "pg";
import { text } from "drizzle-orm/pg-core";
import postgres from "postgres";
import {
  buildExtensionInstanceTable,
  buildLastEventTable,
  type EncryptedTextColumn,
  PgExtensionStorage,
  StorageError,
} from "../mod.ts";
import { storage } from "./suites/storage.ts";
import { testOnEachDriver } from "./support/drivers.ts";
import {
  extensionInstanceDdl,
  extensionInstances,
  lastEvents,
} from "./support/extension_instance.ts";
import { createDatabase, startServer } from "./support/postgres.ts";

testOnEachDriver("storage", storage);

const INSTANCE = {
  extensionInstanceId: "instance",
  contextId: "p-abc123",
  consentedScopes: ["a"],
  secret: "s3cr3t",
};

/** Connects to nothing: what is refused is refused before that. */
const nowhere = () => drizzlePostgresJs(postgres("postgres://nobody@127.0.0.1:1/nothing"));

Deno.test("storage: options that make no sense are refused, an empty object is the default", () => {
  const on = { added: () => {} };
  const refused: [string, unknown][] = [
    ["the options are not an object", null],
    ["the options are not an object", "ignore"],
    ['there is no option "unknownInstance"', { unknownInstance: "ignore" }],
    ['the option unknownInstances is neither "error" nor "ignore"', { unknownInstances: "drop" }],
    ['the option unknownInstances is neither "error" nor "ignore"', { unknownInstances: true }],
    ["lastEvents is not a table that buildLastEventTable built", { lastEvents: null }],
    ["lastEvents is not a table that buildLastEventTable built", {
      lastEvents: extensionInstances,
    }],
    ["the option on needs the option lastEvents", { on }],
    ["the option on needs the option lastEvents", { on: {} }],
    ["reading the option on: the options are not an object", { lastEvents, on: null }],
    ['reading the option on: there is no option "add"', { lastEvents, on: { add: on.added } }],
    ["the option on.removed is not a function", { lastEvents, on: { removed: true } }],
  ];
  for (const [message, options] of refused) {
    const error = assertThrows(
      () => new PgExtensionStorage(nowhere(), extensionInstances, options as { lastEvents: never }),
      TypeError,
    );
    assertEquals(error.message, `Creating an extension storage: ${message}`);
  }
  for (const options of [undefined, {}, { unknownInstances: undefined, lastEvents: undefined }]) {
    new PgExtensionStorage(nowhere(), extensionInstances, options);
  }
  // @ts-expect-error: handlers need the table of last events
  assertThrows(() => new PgExtensionStorage(nowhere(), extensionInstances, { on }), TypeError);
});

Deno.test("storage: a table that is none, or whose secrets are not encrypted, is refused", () => {
  const plain = buildExtensionInstanceTable(text as unknown as EncryptedTextColumn);
  const refused: [string, unknown][] = [
    ["the column secret of the table is not encrypted, ", plain],
    ["table is not a table that buildExtensionInstanceTable built", buildLastEventTable()],
    ["table is not a table that buildExtensionInstanceTable built", undefined],
  ];
  for (const [message, table] of refused) {
    const error = assertThrows(
      () => new PgExtensionStorage(nowhere(), table as typeof extensionInstances),
      TypeError,
    );
    assert(error.message.startsWith(`Creating an extension storage: ${message}`), error.message);
  }
});

Deno.test("storage: handlers on a driver that refuses transactions when it is used", async () => {
  const db = Object.assign(nowhere(), {
    transaction: () => Promise.reject(new Error("Transactions are not supported by this driver")),
    select: () => ({
      from: () => ({ where: () => ({ $withCache: () => Promise.resolve([]) }) }),
    }),
  });
  const storage = new PgExtensionStorage(
    db as unknown as ReturnType<typeof nowhere>,
    extensionInstances,
    {
      lastEvents,
      on: { added: () => {} },
    },
  );
  const error = await assertRejects(() => storage.upsertExtension(INSTANCE), TypeError);
  assertEquals(
    error.message,
    "Creating a storage with handlers: the database's driver has no transactions",
  );
});

Deno.test("storage: a stopped server is a StorageError, and all is well when it is back", async () => {
  await using server = await startServer();
  const pool = new pg.Pool({ connectionString: server.url, max: 1 });
  // The pool reports the end of idle connections here; without a listener it would throw.
  pool.on("error", () => {});
  try {
    await pool.query(extensionInstanceDdl);
    const storage = new PgExtensionStorage(drizzleNodePostgres(pool), extensionInstances);
    await storage.upsertExtension(INSTANCE);
    await server.stop();
    const attempts = {
      upsertExtension: () => storage.upsertExtension({ ...INSTANCE, secret: "lost" }),
      rotateSecret: () => storage.rotateSecret("instance", "lost"),
      getExtension: () => storage.getExtension("instance"),
    };
    for (const [operation, attempt] of Object.entries(attempts)) {
      const error = await assertRejects<StorageError>(attempt, StorageError);
      assertEquals([error.code, error.operation], ["ERR_STORAGE_FAILED", operation]);
      assertInstanceOf(error.cause, Error);
      assert(!String(error.stack).includes("lost"));
    }
    await server.start();
    assertEquals((await storage.getExtension("instance"))?.secret, "s3cr3t");
    await storage.rotateSecret("instance", "kept");
    assertEquals((await storage.getExtension("instance"))?.secret, "kept");
  } finally {
    await pool.end();
  }
});

Deno.test("storage: a server that was never there", async () => {
  // Port 1 is reserved (tcpmux); nobody listens there.
  const client = postgres("postgres://nobody@127.0.0.1:1/nothing", { max: 1, connect_timeout: 5 });
  try {
    const storage = new PgExtensionStorage(drizzlePostgresJs(client), extensionInstances);
    const error = await assertRejects(() => storage.removeInstance("x"), StorageError);
    assertEquals((error.cause as { code?: string }).code, "ECONNREFUSED");
  } finally {
    await client.end();
  }
});

Deno.test("storage: the time zones of server and client make no difference", async () => {
  await using database = await createDatabase();
  const name = new URL(database.url).pathname.slice(1);
  const admin = postgres(database.url, { max: 1 });
  await admin.unsafe(extensionInstanceDdl);
  await admin.unsafe(`ALTER DATABASE "${name}" SET timezone TO 'America/New_York'`);
  await admin.end();
  for (
    const connect of [
      () => {
        const client = postgres(database.url, { max: 1 });
        return { db: drizzlePostgresJs(client), end: () => client.end() };
      },
      () => {
        const pool = new pg.Pool({ connectionString: database.url, max: 1 });
        return { db: drizzleNodePostgres(pool), end: () => pool.end() };
      },
    ]
  ) {
    const { db, end } = connect();
    try {
      const storage = new PgExtensionStorage(db, extensionInstances);
      const before = Date.now();
      await storage.upsertExtension(INSTANCE);
      const row = await storage.getExtension("instance");
      assertEquals(row?.createdAt, row?.updatedAt);
      assert(row!.createdAt.getTime() >= before && row!.createdAt.getTime() <= Date.now());
      await storage.removeInstance("instance");
    } finally {
      await end();
    }
  }
});

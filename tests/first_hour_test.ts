/** What somebody does wrong in the first hour, and what they are told. The message alone has to be enough. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { drizzle as drizzleMySql } from "drizzle-orm/mysql-proxy";
import { drizzle as drizzleSqlite } from "drizzle-orm/sqlite-proxy";
import { drizzle } from "drizzle-orm/postgres-js";
import { Hono } from "hono";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import postgres from "postgres";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  createWebhookHandler,
  type EncryptableDatabase,
  keyStatus,
  PgExtensionStorage,
  withEncryption,
} from "../mod.ts";
import { SimulatedMstudio } from "../testing/mod.ts";
import { copyPackage } from "./support/copied_package.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import { createDatabase } from "./support/postgres.ts";

const EXTENSION = "my-extension";

function tableWith(password: string | undefined, salt: string | undefined) {
  return buildExtensionInstanceTable(
    buildEncryptedTextColumn(buildEncryptionKey(password as string, salt as string)),
  );
}

async function openDatabase(ddl = extensionInstanceDdl) {
  const database = await createDatabase();
  const sql = postgres(database.url, { max: 2, onnotice: () => {} });
  if (ddl) await sql.unsafe(ddl);
  return {
    sql,
    async [Symbol.asyncDispose]() {
      await sql.end();
      await database.drop();
    },
  };
}

const INSTANCE = {
  extensionInstanceId: "i-1",
  contextId: "p-1",
  consentedScopes: [],
  secret: "the secret of the instance",
};

Deno.test("a missing password: the schema loads, and every first use says what is missing", async () => {
  await using database = await openDatabase();
  const storage = new PgExtensionStorage(drizzle(database.sql), tableWith(undefined, "salt"));
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION,
    target: (request) => handler(request),
    maxAttempts: 1,
  });
  const handler = createWebhookHandler({
    storage,
    extensionId: EXTENSION,
    publicKeys: mstudio.publicKeys,
    logger: { info: log, debug: log, error: log },
  });
  const expected =
    /Building an encryption key: masterPassword is missing; the key was made at tableWith .*first_hour_test\.ts:\d+:\d+\)?, and `npx mitthooks-drizzle keygen --write \.env` makes both/;
  assertMatch((await assertRejects(() => storage.verify(), TypeError)).message, expected);
  assertMatch(
    (await assertRejects(() => storage.upsertExtension(INSTANCE), TypeError)).message,
    expected,
  );
  const response = await mstudio.deliverOnce(mstudio.event("ExtensionAddedToContext"));
  assertEquals([response.status, (await response.json()).code], [500, "ERR_STORAGE_FAILED"]);
  assertMatch(lines.join("\n"), expected);
  assertEquals([...await database.sql`SELECT * FROM extension_instance`], []);
  // Reading is a use, too.
  await new PgExtensionStorage(drizzle(database.sql), tableWith("password", "salt"))
    .upsertExtension(INSTANCE);
  assertMatch((await assertRejects(() => storage.verify(), TypeError)).message, expected);
  assertMatch(
    (await assertRejects(() => storage.getExtension("i-1"), TypeError)).message,
    expected,
  );
});

Deno.test("a wrong salt: verify() at the start says so", async () => {
  await using database = await openDatabase();
  const db = drizzle(database.sql);
  await new PgExtensionStorage(db, tableWith("password", "salt")).upsertExtension(INSTANCE);
  const { message } = await assertRejects(
    () => new PgExtensionStorage(db, tableWith("password", "slat")).verify(),
    Error,
  );
  assertStringIncludes(message, "another master password or salt");
});

Deno.test("no table, and columns that a casing has renamed", async () => {
  {
    await using database = await openDatabase("");
    const storage = new PgExtensionStorage(drizzle(database.sql), tableWith("p", "s"));
    const { message } = await assertRejects(() => storage.verify(), Error);
    assertEquals(message, "Running verify: the table does not exist, run the migrations first");
  }
  await using database = await openDatabase(
    extensionInstanceDdl.replace('"contextId"', '"context_id"'),
  );
  const storage = new PgExtensionStorage(drizzle(database.sql), tableWith("p", "s"));
  const { message } = await assertRejects(() => storage.verify(), Error);
  assertStringIncludes(
    message,
    "where drizzle() is given a casing, drizzle.config.ts needs the same",
  );
});

type AnyHandler = (...args: unknown[]) => unknown;

async function listen(listener: (req: IncomingMessage, res: ServerResponse) => void) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks`,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

Deno.test("app.post(path, handler): answered with what is wrong, instead of never", async (t) => {
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  const handler = createWebhookHandler({
    storage: { upsertExtension() {}, updateExtension() {}, rotateSecret() {}, removeInstance() {} },
    extensionId: EXTENSION,
    logger: { info: log, debug: log, error: log },
  }) as unknown as AnyHandler;
  const message =
    "Receiving a webhook: the handler takes a Request and returns a Response, it was called with ";

  await t.step("Express and Node's http", async () => {
    await using server = await listen(handler);
    const response = await fetch(server.url, { method: "POST", body: "{}" });
    assertEquals([response.status, await response.json()], [500, {
      code: "ERR_HANDLER_FAILED",
      message: `${message}(req, res) of Node's http or Express`,
    }]);
    assertEquals(lines, [`${message}(req, res) of Node's http or Express`]);
  });
  await t.step("Hono", async () => {
    const app = new Hono().post("/webhooks", handler as never);
    const response = await app.request("/webhooks", { method: "POST", body: "{}" });
    assertEquals([response.status, await response.json()], [500, {
      code: "ERR_HANDLER_FAILED",
      message: `${message}something else`,
    }]);
  });
  await t.step("nothing, and what throws", async () => {
    for (const args of [[], [null], [undefined, null], [1], ["x", {}]]) {
      assertEquals((await handler(...args) as Response).status, 500);
    }
  });
});

Deno.test("a wrong extension id is logged, and answered", async () => {
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION,
    target: (request) => handler(request),
  });
  const handler = createWebhookHandler({
    storage: { upsertExtension() {}, updateExtension() {}, rotateSecret() {}, removeInstance() {} },
    extensionId: "another",
    publicKeys: mstudio.publicKeys,
    logger: { info: log, debug: log, error: log },
  });
  const response = await mstudio.deliverOnce(mstudio.event("ExtensionAddedToContext"));
  const found = "it is for another extension than the one configured here";
  assertStringIncludes((await response.json()).message, found);
  assertStringIncludes(lines.join("\n"), found);
});

Deno.test("a database of another kind, or of a Drizzle that is not supported", async () => {
  const table = tableWith("p", "s");
  const rows = () => Promise.resolve({ rows: [] });
  const cases: [db: unknown, found: string][] = [
    [drizzleMySql(rows), "it is not a PostgreSQL database of Drizzle but one for MySql"],
    [drizzleSqlite(rows), "it is not a PostgreSQL database of Drizzle but one for SQLite"],
    [postgres({ host: "127.0.0.1" }), "it is not a PostgreSQL database of Drizzle"],
    [undefined, "it is not a PostgreSQL database of Drizzle"],
  ];
  for (const [db, found] of cases) {
    const any = db as EncryptableDatabase;
    assertEquals(
      assertThrows(() => withEncryption(any), TypeError).message,
      `Wrapping a database with withEncryption: ${found}`,
    );
    assertStringIncludes(
      assertThrows(() => new PgExtensionStorage(any, table), TypeError).message,
      found,
    );
    const { message } = await assertRejects(() => keyStatus(any, table), TypeError);
    assertStringIncludes(message, found.replace("it is", "db is"));
  }
  // As of a version whose session works in another way.
  const db = drizzle(postgres({ host: "127.0.0.1" })) as unknown as { session: object };
  const session = Object.create(db.session, { prepareQuery: { value: undefined } });
  const strange = Object.create(db, { session: { value: session } });
  const { message } = assertThrows(() => withEncryption(strange), TypeError);
  assertStringIncludes(message, "it has no prepareQuery");
  assertStringIncludes(message, "Drizzle 0.44, 0.45 and 1.0 from rc.5 on are supported");
});

Deno.test("two copies of the package", async () => {
  await using copy = await copyPackage();
  const other = await import(copy.module("pg/mod.ts")) as typeof import("../pg/mod.ts");
  const table = other.buildExtensionInstanceTable(
    other.buildEncryptedTextColumn(other.buildEncryptionKey("p", "s")),
  );
  const db = drizzle(postgres({ host: "127.0.0.1" }));
  const { message } = assertThrows(() => new PgExtensionStorage(db, table), TypeError);
  assertStringIncludes(
    message,
    "the table was built by another copy of this package, let the application have one copy",
  );
  const select = assertThrows(() => withEncryption(db).select().from(table).toSQL(), TypeError);
  assertStringIncludes(select.message, "another copy of this package");
  assert(!select.message.includes("wrap the database"));
});

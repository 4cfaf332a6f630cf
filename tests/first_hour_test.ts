/** What somebody does wrong in the first hour, and what they are told. The message alone has to be enough. */

import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { drizzle as drizzleMySql } from "drizzle-orm/mysql-proxy";
import { drizzle } from "drizzle-orm/postgres-js";
import { drizzle as drizzleSqlite } from "drizzle-orm/sqlite-proxy";
import { Hono } from "hono";
import { createServer } from "node:http";
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
  type WebhookHandlerOptions,
  withEncryption,
} from "../mod.ts";
import { SimulatedMstudio } from "../testing/mod.ts";
import { copyPackage } from "./support/copied_package.ts";
import { extensionInstanceDdl, extensionInstances } from "./support/extension_instance.ts";
import { MemoryStorage } from "./support/memory_storage.ts";
import { createDatabase } from "./support/postgres.ts";

const EXTENSION = "my-extension";

/** A handler, what it logs, and a simulated mStudio that delivers to it. */
async function receive(options: Partial<WebhookHandlerOptions> = {}) {
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  const mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION,
    target: (request) => handler(request),
  });
  const handler = createWebhookHandler({
    storage: new MemoryStorage(),
    extensionId: EXTENSION,
    publicKeys: mstudio.publicKeys,
    logger: { info: log, debug: log, error: log },
    ...options,
  });
  const deliver = () => mstudio.deliverOnce(mstudio.event("ExtensionAddedToContext"));
  return { handler, lines, deliver, [Symbol.asyncDispose]: () => mstudio.close() };
}

Deno.test("no table, and no password: the schema loads, and every first use says what is missing", async () => {
  await using database = await createDatabase();
  await using sql = Object.assign(postgres(database.url, { max: 2 }), {
    [Symbol.asyncDispose]: (): Promise<void> => sql.end(),
  });
  const withPassword = new PgExtensionStorage(drizzle(sql), extensionInstances);
  const { message } = await assertRejects(() => withPassword.verify(), Error);
  assertEquals(message, "Running verify: the table does not exist, run the migrations first");
  await sql.unsafe(extensionInstanceDdl);

  function schemaWithoutPassword() {
    const key = buildEncryptionKey(undefined as unknown as string, "salt");
    return buildExtensionInstanceTable(buildEncryptedTextColumn(key));
  }
  const storage = new PgExtensionStorage(drizzle(sql), schemaWithoutPassword());
  const expected =
    /Building an encryption key: masterPassword is missing; the key was made at schemaWithoutPassword .*first_hour_test\.ts:\d+:\d+\)?, and `npx mitthooks-drizzle keygen --write \.env` makes both/;
  const refuses = async (attempt: () => Promise<unknown>) =>
    assertMatch((await assertRejects(attempt, TypeError)).message, expected);
  const instance = {
    extensionInstanceId: "i-1",
    contextId: "p-1",
    consentedScopes: [],
    secret: "the secret of the instance",
  };
  await refuses(() => storage.verify());
  await refuses(() => storage.upsertExtension(instance));
  await using receiver = await receive({ storage });
  const response = await receiver.deliver();
  assertEquals([response.status, (await response.json()).code], [500, "ERR_STORAGE_FAILED"]);
  assertMatch(receiver.lines.join("\n"), expected);
  assertEquals([...await sql`select from extension_instance`], []);
  // Reading is a use, too.
  await withPassword.upsertExtension(instance);
  await refuses(() => storage.verify());
  await refuses(() => storage.getExtension("i-1"));
});

Deno.test("app.post(path, handler): answered with what is wrong, instead of never", async () => {
  await using receiver = await receive();
  const handler = receiver.handler as unknown as (...args: unknown[]) => Promise<Response>;
  const says = async (what: string, response: Response) => {
    const message =
      `Receiving a webhook: the handler takes a Request and returns a Response, it was called with ${what}`;
    assertEquals([response.status, await response.json()], [500, {
      code: "ERR_HANDLER_FAILED",
      message,
    }]);
    assertEquals(receiver.lines.splice(0), [message]);
  };
  const request = { method: "POST", body: "{}" };

  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await says(
    "(req, res) of Node's http or Express",
    await fetch(`http://127.0.0.1:${port}/webhooks`, request),
  );
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));

  const app = new Hono().post("/webhooks", handler as never);
  await says("something else", await app.request("/webhooks", request));
  for (const args of [[], [null], [undefined, null], [1], ["x", {}]]) {
    assertEquals((await handler(...args)).status, 500);
  }
});

Deno.test("a wrong extension id is logged, and answered", async () => {
  await using receiver = await receive({ extensionId: "another" });
  const found = "it is for another extension than the one configured here";
  assertStringIncludes((await (await receiver.deliver()).json()).message, found);
  assertStringIncludes(receiver.lines.join("\n"), found);
});

Deno.test("a database of another kind", async () => {
  const rows = () => Promise.resolve({ rows: [] });
  const cases: [db: unknown, found: string][] = [
    [drizzleMySql(rows), "is not a PostgreSQL database of Drizzle but one for MySql"],
    [drizzleSqlite(rows), "is not a PostgreSQL database of Drizzle but one for SQLite"],
    [postgres({ host: "127.0.0.1" }), "is not a PostgreSQL database of Drizzle"],
    [undefined, "is not a PostgreSQL database of Drizzle"],
  ];
  for (const [given, found] of cases) {
    const db = given as EncryptableDatabase;
    const made = assertThrows(() => new PgExtensionStorage(db, extensionInstances), TypeError);
    assertStringIncludes(made.message, `it ${found}`);
    const counted = await assertRejects(() => keyStatus(db, extensionInstances), TypeError);
    assertStringIncludes(counted.message, `db ${found}`);
  }
});

Deno.test("two copies of the package", async () => {
  await using copy = await copyPackage();
  const other = await import(copy.module("pg/mod.ts")) as typeof import("../pg/mod.ts");
  const table = other.buildExtensionInstanceTable(
    other.buildEncryptedTextColumn(other.buildEncryptionKey("p", "s")),
  );
  const db = drizzle(postgres({ host: "127.0.0.1" }));
  assertStringIncludes(
    assertThrows(() => new PgExtensionStorage(db, table), TypeError).message,
    "the table was built by another copy of this package, let the application have one copy",
  );
  assertMatch(
    assertThrows(() => withEncryption(db).select().from(table).toSQL(), TypeError).message,
    /^(?!.*wrap the database).*another copy of this package/,
  );
});

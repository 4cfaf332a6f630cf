/** Mistakes of the first hour and their messages, which must suffice by themselves. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { eq } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
import { Hono } from "hono";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import postgres from "postgres";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  keyStatus,
  PgExtensionStorage,
  reencrypt,
  withEncryption,
} from "../mod.ts";
import { copyPackage } from "./support/copied_package.ts";
import { extensionInstanceDdl, extensionInstances } from "./support/extension_instance.ts";
import { createDatabase } from "../tools/postgres/databases.ts";
import { ADDED, payload, Receiver } from "./webhooks/support.ts";

Deno.test("no table, no password: the schema loads, and every first use names what is missing", async () => {
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
    /Building an encryption key: masterPassword is missing; the key was built at schemaWithoutPassword .*first_hour_test\.ts:\d+:\d+\)?, and `npx mitthooks-drizzle keygen --write \.env` generates both/;
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
  const receiver = await Receiver.create({ storage });
  await receiver.expect("500 ERR_STORAGE_FAILED", payload(ADDED));
  assertMatch(receiver.log.join("\n"), expected);
  assertEquals([...await sql`select from extension_instance`], []);
  // Reading is a use, too.
  await withPassword.upsertExtension(instance);
  await refuses(() => storage.verify());
  await refuses(() => storage.getExtension("i-1"));
});

Deno.test("app.post(path, handler): answered with the mistake, instead of never", async () => {
  const receiver = await Receiver.create();
  const handler = receiver.handler as unknown as (...args: unknown[]) => Promise<Response>;
  const says = async (what: string, response: Response) => {
    const message =
      `Receiving a webhook: the handler takes a Request and returns a Response, it was called with ${what}`;
    assertEquals([response.status, await response.json()], [500, {
      code: "ERR_HANDLER_FAILED",
      message,
    }]);
    assertEquals(receiver.log.splice(0), [message]);
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
  const answered = {
    writeHead() {
      throw new Error("Cannot write headers after they are sent to the client");
    },
  };
  const unreadable = {
    get headers() {
      throw new Error("of the test");
    },
  };
  for (
    const args of [[], [null], [undefined, null], [1], ["x", {}], [{}, answered], [unreadable]]
  ) {
    assertEquals((await handler(...args)).status, 500);
  }
  // Reported once, because anybody who can send a request can repeat it.
  assertEquals(receiver.levels.filter((level) => level === "error").length, 1);
  assertEquals([receiver.codes, receiver.details], [["ERR_HANDLER_FAILED"], [{}]]);
});

Deno.test("two versions of the package", async () => {
  await using copy = await copyPackage(true);
  const other = await import(copy.module("pg/mod.ts")) as typeof import("../pg/mod.ts");
  const foreign = other.buildEncryptedTextColumn(other.buildEncryptionKey("p", "s"));
  const instances = other.buildExtensionInstanceTable(foreign);
  const people = pgTable("person", {
    id: integer().primaryKey(),
    ours: buildEncryptedTextColumn(buildEncryptionKey("p", "s"))(),
    secret: foreign(),
  });
  const nowhere = drizzle(postgres({ host: "127.0.0.1" }));
  const db = withEncryption(nowhere);
  const attempts: (() => unknown)[] = [
    () => new PgExtensionStorage(nowhere, instances),
    () => db.select().from(people).toSQL(),
    () => db.insert(people).values({ id: 3, secret: "x" }).toSQL(),
    () => db.update(people).set({ secret: "x" }).toSQL(),
    () => db.select({ id: people.id }).from(people).where(eq(people.secret, "x")).toSQL(),
    ...[instances, people].flatMap((table) => [
      () => reencrypt(nowhere, table),
      () => keyStatus(nowhere, table),
    ]),
  ];
  for (const attempt of attempts) {
    const { message } = await assertRejects(async () => void await attempt(), TypeError);
    assertMatch(message, /^(?!.*wrap the database).*another version of this package/);
  }
});

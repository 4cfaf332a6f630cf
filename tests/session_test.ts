import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { eq, isNotNull } from "drizzle-orm";
import { drizzle as drizzleMySql } from "drizzle-orm/mysql-proxy";
import type { PgDialect } from "drizzle-orm/pg-core";
import { drizzle as drizzlePgProxy } from "drizzle-orm/pg-proxy";
import { PrismaPgSession } from "drizzle-orm/prisma/pg/session";
import { drizzle as drizzleSqlite } from "drizzle-orm/sqlite-proxy";
import { integer, jsonb, pgTable, text, unionAll } from "drizzle-orm/pg-core";
import postgresJs from "postgres";
import {
  buildEncryptedTextColumn,
  DecryptionError as OurError,
  keyStatus,
  PgExtensionStorage as OurStorage,
  reencrypt,
  withEncryption,
} from "../pg/mod.ts";
import { confidentiality } from "./suites/confidentiality.ts";
import { damage } from "./suites/damage.ts";
import { randomStatements } from "./suites/random_statements.ts";
import { reads } from "./suites/reads.ts";
import { refusals } from "./suites/refusals.ts";
import { relational } from "./suites/relational.ts";
import { rule, scalarSubquery } from "./suites/rule.ts";
import { assertStored, createTables } from "./suites/tables.ts";
import { transactions } from "./suites/transactions.ts";
import { writes } from "./suites/writes.ts";
import { copyPackage } from "./support/copied_package.ts";
import { drivers, testBatches, testOnEachDriver } from "./support/drivers.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";

testOnEachDriver("rule", [...rule, scalarSubquery]);
testOnEachDriver("random statements", randomStatements(200));
testOnEachDriver("writes", writes);
testOnEachDriver("reads", reads);
testOnEachDriver("relational queries", relational);
testOnEachDriver("transactions", transactions);
testOnEachDriver("refusals", refusals);
testOnEachDriver("confidentiality", confidentiality);
testOnEachDriver("damage", damage);
testBatches();

Deno.test("JSON of any shape is sent unchanged, also as the first value of a process", async () => {
  await using copy = await copyPackage();
  const { withEncryption } = await import(
    copy.module("pg/mod.ts")
  ) as typeof import("../pg/mod.ts");
  const sent: unknown[] = [];
  const db = withEncryption(drizzlePgProxy((_, values) => {
    sent.push(...values);
    return Promise.resolve({ rows: [] });
  }));
  const documents = pgTable("document", { data: jsonb() });
  const shapes = ['{"cells":[],"encoders":[]}', '{"cells":[1],"encoders":[2]}', '{"a":1}'];
  for (const shape of shapes) await db.insert(documents).values({ data: JSON.parse(shape) });
  assertEquals(sent, shapes);
});

Deno.test("withEncryption accepts PostgreSQL databases with known sessions, and refuses others", () => {
  const NOT_POSTGRES = "it is not a PostgreSQL database of Drizzle";
  const unknown = (session: string, missing = "") =>
    `its session, ${session}, is not supported${missing}` +
    "; Drizzle 0.44, 0.45 and 1.0 from rc.5 on are supported";
  const nothing = () => Promise.resolve({ rows: [] });
  const postgres = drizzlePgProxy(nothing);
  const { dialect, session } = postgres as unknown as { dialect: object; session: object };
  const altered = (of: object, name: string, value: unknown) =>
    Object.create(of, { [name]: { value } });
  class EffectPgSession {
    prepareQuery() {}
    execute() {}
  }
  const withSession = (value: object) => altered(postgres, "session", value);
  const withDialect = (name: string, value: unknown) =>
    altered(postgres, "dialect", altered(dialect, name, value));
  const refused: [unknown, string][] = [
    [drizzleMySql(nothing), `${NOT_POSTGRES} but one for MySql`],
    [drizzleSqlite(nothing), `${NOT_POSTGRES} but one for SQLite`],
    [undefined, NOT_POSTGRES],
    [{}, NOT_POSTGRES],
    [postgresJs({ host: "127.0.0.1" }), NOT_POSTGRES],
    [withSession(new EffectPgSession()), unknown("EffectPgSession")],
    // Its rows have the database's names, so Drizzle decodes none of them.
    [
      withSession(new PrismaPgSession(dialect as PgDialect, {} as never, {})),
      unknown("PrismaPgSession"),
    ],
    [
      withSession(altered(session, "execute", undefined)),
      unknown("PgRemoteSession", " (it has no execute)"),
    ],
    [
      withDialect("buildUpdateSet", undefined),
      unknown("PgRemoteSession", " (it has no buildUpdateSet)"),
    ],
    // Drizzle 1.0's own driver maps rows itself.
    [withDialect("shapeGenerator", () => {}), unknown("PgRemoteSession")],
  ];
  for (const [db, message] of refused) {
    const error = assertThrows(() => withEncryption(db as typeof postgres), TypeError);
    assertEquals(error.message, `Wrapping a database with withEncryption: ${message}`);
  }
  withEncryption(postgres);
});

// Next.js with Turbopack loads one copy for pages and one for route handlers, with one database in
// globalThis.
for (const [driver, open] of Object.entries(drivers)) {
  Deno.test(`two copies of one version work together (${driver})`, async () => {
    await using copy = await copyPackage();
    await using context = await open();
    const other = await import(copy.module("pg/mod.ts")) as typeof import("../pg/mod.ts");
    await createTables(context);
    const key = other.importEncryptionKey(new Uint8Array(32).fill(1));
    const id = () => integer().primaryKey();
    const secret = other.buildEncryptedTextColumn(key);
    const theirs = pgTable("person", { id: id(), name: text().notNull(), phone: secret() });
    const ours = pgTable("person", {
      id: id(),
      name: text().notNull(),
      phone: buildEncryptedTextColumn(key)(),
    });
    const db = withEncryption(context.open());
    assertStrictEquals(other.withEncryption(db), db);

    const ada = { id: 1, name: "Ada", phone: "555" };
    assertEquals(await db.insert(theirs).values(ada).returning(), [ada]);
    await assertStored(context, "SELECT phone FROM person", "555");
    await db.transaction(async (tx) => {
      await other.withEncryption(tx).update(theirs).set({ phone: "777" }).where(eq(theirs.id, 1));
      assertEquals(await tx.$count(theirs, isNotNull(theirs.phone)), 1);
    });
    const phones = [theirs, ours].map((table) => db.select({ phone: table.phone }).from(table));
    assertEquals(await unionAll(phones[0]!, phones[1]!), [{ phone: "777" }, { phone: "777" }]);
    const comparing = async () => await db.delete(theirs).where(eq(theirs.phone, "777"));
    await assertRejects(comparing, TypeError, "means nothing to the database");
    const sealed = await context.open().select().from(theirs);
    assertThrows(() => `${sealed[0]!.phone}`, TypeError, "wrap the database");

    const unread = other.importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [key] });
    const rotated = pgTable("person", {
      id: id(),
      phone: other.buildEncryptedTextColumn(unread)(),
    });
    assertEquals((await reencrypt(db, rotated)).reencrypted, 1);
    // Decrypted by their key, located by our session.
    const error = await assertRejects(() => db.select().from(theirs).execute());
    for (const { DecryptionError } of [{ DecryptionError: OurError }, other]) {
      assert(error instanceof DecryptionError);
    }
    assertEquals((error as OurError).path, "[0].phone");
    assertEquals((await keyStatus(db, theirs)).phone?.unreadable, 1);
    class Special extends OurError {}
    assert(new Special() instanceof Special && !(new OurError() instanceof Special));

    await context.sql(extensionInstanceDdl);
    const instances = other.buildExtensionInstanceTable(secret);
    const instance = { contextId: "p-abc123", consentedScopes: [], secret: "s3cr3t" };
    for (const { PgExtensionStorage } of [{ PgExtensionStorage: OurStorage }, other]) {
      const storage = new PgExtensionStorage(db, instances);
      await storage.upsertExtension({ ...instance, extensionInstanceId: "instance" });
      assertEquals((await storage.getExtension("instance"))?.secret, "s3cr3t");
    }
  });
}

import { assertEquals, assertThrows } from "@std/assert";
import { drizzle as drizzleMySql } from "drizzle-orm/mysql-proxy";
import type { PgDialect } from "drizzle-orm/pg-core";
import { drizzle as drizzlePgProxy } from "drizzle-orm/pg-proxy";
import { PrismaPgSession } from "drizzle-orm/prisma/pg/session";
import { drizzle as drizzleSqlite } from "drizzle-orm/sqlite-proxy";
import { jsonb, pgTable } from "drizzle-orm/pg-core";
import postgresJs from "postgres";
import { withEncryption } from "../pg/mod.ts";
import { confidentiality } from "./suites/confidentiality.ts";
import { damage } from "./suites/damage.ts";
import { reads } from "./suites/reads.ts";
import { refusals } from "./suites/refusals.ts";
import { relational } from "./suites/relational.ts";
import { rule, scalarSubquery } from "./suites/rule.ts";
import { transactions } from "./suites/transactions.ts";
import { writes } from "./suites/writes.ts";
import { copyPackage } from "./support/copied_package.ts";
import { testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("rule", [...rule, scalarSubquery]);
testOnEachDriver("writes", writes);
testOnEachDriver("reads", reads);
testOnEachDriver("relational queries", relational);
testOnEachDriver("transactions", transactions);
testOnEachDriver("refusals", refusals);
testOnEachDriver("confidentiality", confidentiality);
testOnEachDriver("damage", damage);

Deno.test("JSON of any shape is sent as it is, also as the first value of a process", async () => {
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

Deno.test("withEncryption takes PostgreSQL databases of sessions that it knows, and refuses all others", () => {
  const NOT_POSTGRES = "it is not a PostgreSQL database of Drizzle";
  const unknown = (session: string, missing = "") =>
    `its session, ${session}, is of a kind that this version does not know${missing}` +
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
    // Its rows come with the names of the database, so Drizzle decodes none of them.
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

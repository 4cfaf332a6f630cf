import { assertEquals, assertThrows } from "@std/assert";
import { drizzle as drizzleMySql } from "drizzle-orm/mysql-proxy";
import { drizzle as drizzlePgProxy } from "drizzle-orm/pg-proxy";
import { drizzle as drizzleSqlite } from "drizzle-orm/sqlite-proxy";
import { withEncryption } from "../pg/mod.ts";
import { confidentiality } from "./suites/confidentiality.ts";
import { damage } from "./suites/damage.ts";
import { reads } from "./suites/reads.ts";
import { refusals } from "./suites/refusals.ts";
import { relational } from "./suites/relational.ts";
import { rule, scalarSubquery } from "./suites/rule.ts";
import { transactions } from "./suites/transactions.ts";
import { writes } from "./suites/writes.ts";
import { testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("rule", [...rule, scalarSubquery]);
testOnEachDriver("writes", writes);
testOnEachDriver("reads", reads);
testOnEachDriver("relational queries", relational);
testOnEachDriver("transactions", transactions);
testOnEachDriver("refusals", refusals);
testOnEachDriver("confidentiality", confidentiality);
testOnEachDriver("damage", damage);

Deno.test("withEncryption takes PostgreSQL databases of sessions that it knows, and refuses all others", () => {
  const NOT_POSTGRES =
    "Wrapping a database with withEncryption: it is not a PostgreSQL database of Drizzle";
  const SUPPORTED = "; Drizzle 0.44, 0.45 and 1.0 from rc.5 on are supported";
  const postgres = drizzlePgProxy(() => Promise.resolve({ rows: [] }));
  const { dialect, session } = postgres as unknown as { dialect: object; session: object };
  const altered = (properties: Record<string, unknown>) =>
    Object.create(
      postgres,
      Object.fromEntries(
        Object.entries(properties).map(([name, value]) => [name, { value }]),
      ),
    );
  class EffectPgSession {
    prepareQuery() {}
    execute() {}
  }
  const refused: [unknown, string][] = [
    [drizzleMySql(() => Promise.resolve({ rows: [] })), `${NOT_POSTGRES} but one for MySql`],
    [drizzleSqlite(() => Promise.resolve({ rows: [] })), `${NOT_POSTGRES} but one for SQLite`],
    [undefined, NOT_POSTGRES],
    [{}, NOT_POSTGRES],
    [
      altered({ session: new EffectPgSession() }),
      "Wrapping a database with withEncryption: its session, EffectPgSession, is of a kind that this version " +
      `does not know${SUPPORTED}`,
    ],
    [
      altered({ session: Object.create(session, { execute: { value: undefined } }) }),
      "Wrapping a database with withEncryption: its session, PgRemoteSession, is of a kind that this version " +
      `does not know (it has no execute)${SUPPORTED}`,
    ],
    [
      altered({ dialect: Object.create(dialect, { buildUpdateSet: { value: undefined } }) }),
      "Wrapping a database with withEncryption: its session, PgRemoteSession, is of a kind that this version " +
      `does not know (it has no buildUpdateSet)${SUPPORTED}`,
    ],
    [
      // Drizzle 1.0's own driver maps rows itself.
      altered({ dialect: Object.create(dialect, { shapeGenerator: { value() {} } }) }),
      "Wrapping a database with withEncryption: its session, PgRemoteSession, is of a kind that this version " +
      `does not know${SUPPORTED}`,
    ],
  ];
  for (const [db, message] of refused) {
    const error = assertThrows(() => withEncryption(db as typeof postgres), TypeError);
    assertEquals(error.message, message);
  }
  withEncryption(postgres);
});

import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import type { DrizzleOptions } from "../../suites/suite.ts";
import { openSession } from "../../suites/session.ts";
import { type Connect, emptyDatabase, runSql } from "./driver.ts";

export const connect: Connect = async ({ url, through }) => {
  await emptyDatabase(url);
  // As postgres.js asks for it behind a pooler: no named statements, which belong to one connection.
  const prepare = through === undefined;
  const client = postgres(through ?? url, { max: 4, prepare, onnotice: () => {} });
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) =>
      drizzle({ client, ...options }) as unknown as TDatabase,
    sql: (statement) => runSql(url, statement),
    session: () => openSession(url),
    close: () => client.end(),
  };
};

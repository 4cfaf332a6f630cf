import { drizzle } from "drizzle-orm/node-postgres";
// @ts-types="@types/pg"
import pg from "pg";
import type { DrizzleOptions } from "../../suites/suite.ts";
import { openSession } from "../../suites/session.ts";
import { type Connect, emptyDatabase, runSql } from "./driver.ts";

export const connect: Connect = async ({ url, through }) => {
  await emptyDatabase(url);
  const client = new pg.Pool({ connectionString: through ?? url, max: 4 });
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) =>
      drizzle({ client, ...options }) as unknown as TDatabase,
    sql: (statement) => runSql(url, statement),
    session: () => openSession(url),
    close: () => client.end(),
  };
};

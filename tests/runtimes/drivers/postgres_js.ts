import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import type { DrizzleOptions } from "../../suites/suite.ts";
import { type Connect, emptyDatabase, runSql } from "./driver.ts";

export const connect: Connect = async ({ url, through }) => {
  await emptyDatabase(url);
  const client = postgres(through ?? url, { max: 4, onnotice: () => {} });
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) =>
      drizzle({ client, ...options }) as unknown as TDatabase,
    sql: (statement) => runSql(url, statement),
    close: () => client.end(),
  };
};

import type { DrizzleOptions } from "../../suites/suite.ts";
import { openSession } from "../../suites/session.ts";
import { type Connect, emptyDatabase, runSql } from "./driver.ts";

/** What is used of Bun's modules; their types are not here. */
interface BunSql {
  SQL: new (options: { url: string; max: number }) => { close(): Promise<void> };
}

interface DrizzleBunSql {
  drizzle(options: Record<string, unknown>): unknown;
}

// Not literals, so that neither Deno nor a bundler looks for them.
const [BUN, DRIZZLE_BUN_SQL] = ["bun", "drizzle-orm/bun-sql"];

export const connect: Connect = async ({ url }) => {
  const { SQL } = await import(BUN!) as BunSql;
  const { drizzle } = await import(DRIZZLE_BUN_SQL!) as DrizzleBunSql;
  await emptyDatabase(url);
  const client = new SQL({ url, max: 4 });
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) => drizzle({ client, ...options }) as TDatabase,
    sql: (statement) => runSql(url, statement),
    session: () => openSession(url),
    close: () => client.close(),
  };
};

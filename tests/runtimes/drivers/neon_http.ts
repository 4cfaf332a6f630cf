import type { DrizzleOptions } from "../../suites/suite.ts";
import { openSession } from "../../suites/session.ts";
import { type Connect, emptyDatabase, runSql } from "./driver.ts";

export { refused, suites } from "../../conformance/neon_http.ts";

/** What is used of Neon's driver; its types are not here. */
interface Neon {
  neon(connectionString: string): unknown;
  neonConfig: Record<string, unknown>;
}

interface DrizzleNeon {
  drizzle(options: Record<string, unknown>): unknown;
}

// Not literals, so that neither Deno nor a bundler looks for them.
const [NEON, DRIZZLE_NEON] = ["@neondatabase/serverless", "drizzle-orm/neon-http"];

/** Over HTTP: each query, or each batch, is one request. */
export const connect: Connect = async ({ url, through }) => {
  const { neon, neonConfig } = await import(NEON!) as Neon;
  const { drizzle } = await import(DRIZZLE_NEON!) as DrizzleNeon;
  neonConfig["fetchEndpoint"] = through;
  await emptyDatabase(url);
  const client = neon(url);
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) => drizzle({ client, ...options }) as TDatabase,
    sql: (statement) => runSql(url, statement),
    session: () => openSession(url),
    close: () => Promise.resolve(),
  };
};

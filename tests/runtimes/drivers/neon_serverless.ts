import type { DrizzleOptions } from "../../suites/suite.ts";
import { openSession } from "../../suites/session.ts";
import { type Connect, emptyDatabase, runSql } from "./driver.ts";

/** What is used of Neon's driver; its types are not here. */
interface Neon {
  Pool: new (options: { connectionString: string; max: number }) => { end(): Promise<void> };
  neonConfig: Record<string, unknown>;
}

interface DrizzleNeon {
  drizzle(options: Record<string, unknown>): unknown;
}

// Not literals, so that neither Deno nor a bundler looks for them.
const [NEON, DRIZZLE_NEON] = ["@neondatabase/serverless", "drizzle-orm/neon-serverless"];

/** Over a WebSocket, through a proxy that passes the bytes on to PostgreSQL. */
export const connect: Connect = async ({ url, through }) => {
  const { Pool, neonConfig } = await import(NEON!) as Neon;
  const { drizzle } = await import(DRIZZLE_NEON!) as DrizzleNeon;
  Object.assign(neonConfig, {
    wsProxy: (host: string, port: number) => `${through}/?address=${host}:${port}`,
    useSecureWebSocket: false,
    pipelineTLS: false,
    // Neon's own proxy takes the password in the clear; PostgreSQL asks for SCRAM.
    pipelineConnect: false,
  });
  await emptyDatabase(url);
  const client = new Pool({ connectionString: url, max: 4 });
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) => drizzle({ client, ...options }) as TDatabase,
    sql: (statement) => runSql(url, statement),
    session: () => openSession(url),
    close: () => client.end(),
  };
};

import type { Driver } from "../../conformance/database_cases.ts";
import { closingOf } from "../close_pool.ts";
import { importUntyped } from "../untyped.ts";

/** Over a WebSocket, through a proxy that passes the bytes on to PostgreSQL. */
export const connect: Driver["connect"] = async (url, through) => {
  const { Pool, neonConfig } = await importUntyped("@neondatabase/serverless");
  const { drizzle } = await importUntyped("drizzle-orm/neon-serverless");
  Object.assign(neonConfig, {
    wsProxy: (host: string, port: number) => `${through}/?address=${host}:${port}`,
    useSecureWebSocket: false,
    pipelineTLS: false,
    // Neon's proxy accepts the password in the clear; PostgreSQL requires SCRAM.
    pipelineConnect: false,
  });
  const client = new Pool({ connectionString: url, max: 4 });
  return { drizzle: (options) => drizzle({ client, ...options }), close: closingOf(client) };
};

import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import type { Driver } from "../../conformance/database_cases.ts";

export const connect: Driver["connect"] = (url, through) => {
  // As postgres.js recommends behind a pooler: no named statements, which belong to one connection.
  const prepare = through === undefined;
  const client = postgres(through ?? url, { max: 4, prepare, onnotice: () => {} });
  // Without a limit it would wait forever after a connection broke during a statement.
  const close = () => client.end({ timeout: 1 });
  return { drizzle: (options) => drizzle({ client, ...options }), close };
};

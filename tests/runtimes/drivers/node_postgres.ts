import { drizzle } from "drizzle-orm/node-postgres";
// @ts-types="@types/pg"
import pg from "pg";
import type { Driver } from "../../conformance/database_cases.ts";
import { closingOf } from "../close_pool.ts";

export const connect: Driver["connect"] = (url) => {
  const client = new pg.Pool({ connectionString: url, max: 4 });
  return { drizzle: (options) => drizzle({ client, ...options }), close: closingOf(client) };
};

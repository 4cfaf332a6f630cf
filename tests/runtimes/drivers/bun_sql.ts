import type { Driver } from "../../conformance/database_cases.ts";
import { importUntyped } from "../untyped.ts";

export const connect: Driver["connect"] = async (url) => {
  const { SQL } = await importUntyped("bun");
  const { drizzle } = await importUntyped("drizzle-orm/bun-sql");
  const client = new SQL({ url, max: 4 });
  return { drizzle: (options) => drizzle({ client, ...options }), close: () => client.close() };
};

import type { Driver } from "../../conformance/database_cases.ts";
import { importUntyped } from "../untyped.ts";

export { refused, suites } from "../../conformance/neon_http.ts";

/** Over HTTP: each query or batch is one request. */
export const connect: Driver["connect"] = async (url, through) => {
  const { neon, neonConfig } = await importUntyped("@neondatabase/serverless");
  const { drizzle } = await importUntyped("drizzle-orm/neon-http");
  neonConfig["fetchEndpoint"] = through;
  const client = neon(url);
  return { drizzle: (options) => drizzle({ client, ...options }) };
};

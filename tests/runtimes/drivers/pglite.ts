import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { type Driver, EMPTY_DATABASE } from "../../conformance/database_cases.ts";

// Starting it takes seconds, so all cases share one.
let started: Promise<PGlite> | undefined;

export const connect: Driver["connect"] = async () => {
  const client = await (started ??= PGlite.create());
  await client.exec(`${EMPTY_DATABASE}; DEALLOCATE ALL`);
  return {
    drizzle: (options) => drizzle({ client, ...options }),
    sql: async (statement) => (await client.exec(statement)).at(-1)?.rows ?? [],
  };
};

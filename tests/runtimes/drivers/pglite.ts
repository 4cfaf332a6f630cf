import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import type { DrizzleOptions } from "../../suites/suite.ts";
import type { Connect } from "./driver.ts";

// Starting it takes seconds, so all contexts share one.
let started: Promise<PGlite> | undefined;

export const connect: Connect = async () => {
  const client = await (started ??= PGlite.create());
  await client.exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public; DEALLOCATE ALL");
  return {
    open: <TDatabase>(options: DrizzleOptions = {}) =>
      drizzle({ client, ...options }) as unknown as TDatabase,
    sql: async (statement) => (await client.exec(statement)).at(-1)?.rows ?? [],
    close: () => Promise.resolve(),
  };
};

/**
 * The suites that need a database, through postgres.js over the TCP of Workers.
 *
 * @module
 */
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { databaseSuites } from "../../conformance/database_suites.ts";
import type { BoundCase } from "../../conformance/report.ts";
import type { DrizzleOptions } from "../../suites/suite.ts";
import { readRows, writeRow } from "../rows.ts";

interface DatabaseJob {
  writer: string;
  /** An empty database. */
  url?: string;
  /** The database with one row of each runtime. */
  exchangeUrl?: string;
  /** Whose rows to read. */
  rows?: string[];
}

export function databaseCases({ writer, url, exchangeUrl, rows }: DatabaseJob): BoundCase[] {
  if (rows !== undefined) {
    return [{
      name: "exchange: reads the rows of all",
      run: () => readRows(exchangeUrl!, rows),
    }];
  }
  const exchange = {
    name: "exchange: writes a row for the others",
    run: () => writeRow(exchangeUrl!, writer),
  };
  return [exchange].concat(
    Object.entries(databaseSuites).flatMap(([suite, cases]) =>
      cases.map(({ name, run }) => ({
        name: `${suite} (postgres.js): ${name}`,
        async run() {
          const past = postgres(url!, { max: 1, onnotice: () => {} });
          const client = postgres(url!, { max: 3, onnotice: () => {} });
          const sql = async (statement: string): Promise<Record<string, unknown>[]> => {
            const result = await past.unsafe(statement);
            return [...(Array.isArray(result[0]) ? result.at(-1)! : result)] as Record<
              string,
              unknown
            >[];
          };
          try {
            await sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
            await run({
              open: <TDatabase>(options: DrizzleOptions = {}) =>
                drizzle({ client, ...options }) as unknown as TDatabase,
              sql,
            });
          } finally {
            await Promise.all([client.end(), past.end()]);
          }
        },
      }))
    ),
  );
}

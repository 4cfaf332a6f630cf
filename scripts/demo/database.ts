/** The database of the demo: PGlite in this process, or a scratch database on the server in TEST_DATABASE_URL. */

import { PGlite } from "@electric-sql/pglite";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { migrate as migratePglite } from "drizzle-orm/pglite/migrator";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import { migrate as migratePostgresJs } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { createDatabase } from "../../tests/support/postgres.ts";

/** A database without tables. */
export interface DemoDatabase extends AsyncDisposable {
  /** What it is, for people. */
  name: string;
  db: PgDatabase<PgQueryResultHKT>;
  /** Runs drizzle-kit's migrations. */
  migrate(migrationsFolder: string): Promise<void>;
  /** Runs SQL past Drizzle, to see what really is stored. */
  query(statement: string, parameter?: string): Promise<Record<string, unknown>[]>;
}

export async function openPglite(): Promise<DemoDatabase> {
  const client = await PGlite.create();
  const db = drizzlePglite(client);
  const query: DemoDatabase["query"] = async (statement, parameter) =>
    (await client.query<Record<string, unknown>>(statement, parameter ? [parameter] : [])).rows;
  const [version] = await query("SHOW server_version");
  return {
    name: `PostgreSQL ${version?.["server_version"]} in this process (PGlite)`,
    db: db as unknown as DemoDatabase["db"],
    migrate: (migrationsFolder) => migratePglite(db, { migrationsFolder }),
    query,
    [Symbol.asyncDispose]: () => client.close(),
  };
}

export async function openScratchDatabase(): Promise<DemoDatabase> {
  const { url, drop } = await createDatabase();
  const client = postgres(url, { onnotice: () => {} });
  // A client of its own: Drizzle changes how the one that it gets reads dates.
  const observer = postgres(url, { max: 1 });
  const db = drizzlePostgresJs(client);
  return {
    name: `${new URL(url).pathname.slice(1)} (scratch)`,
    db: db as unknown as DemoDatabase["db"],
    migrate: (migrationsFolder) => migratePostgresJs(db, { migrationsFolder }),
    query: (statement, parameter) => observer.unsafe(statement, parameter ? [parameter] : []),
    async [Symbol.asyncDispose]() {
      await client.end();
      await observer.end();
      await drop();
    },
  };
}

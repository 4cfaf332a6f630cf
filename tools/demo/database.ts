/**
 * The database of the demo: PGlite in this process, or a scratch database on the server in
 * TEST_DATABASE_URL.
 */

import { PGlite } from "@electric-sql/pglite";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { sql } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { createDatabase } from "../postgres/databases.ts";

/** A database and its description. */
export interface DemoDatabase extends AsyncDisposable {
  readonly name: string;
  readonly db: PgDatabase<PgQueryResultHKT>;
}

/** Opens a database without tables. */
export async function openDatabase(onServer: boolean): Promise<DemoDatabase> {
  if (!onServer) {
    const client = await PGlite.create();
    return {
      name: "PostgreSQL (PGlite) in this process",
      db: drizzlePglite(client) as unknown as DemoDatabase["db"],
      [Symbol.asyncDispose]: () => client.close(),
    };
  }
  const { url, drop } = await createDatabase();
  const client = postgres(url, { onnotice: () => {} });
  return {
    name: `${new URL(url).pathname.slice(1)} (scratch)`,
    db: drizzlePostgresJs(client) as unknown as DemoDatabase["db"],
    async [Symbol.asyncDispose]() {
      await client.end();
      await drop();
    },
  };
}

/** Creates a schema's tables like an application: with a migration by drizzle-kit. */
export async function migrate({ db }: DemoDatabase, schema: Record<string, unknown>) {
  for (const statement of await migrationOf(schema)) await db.execute(sql.raw(statement));
}

export function migrationOf(schema: Record<string, unknown>): Promise<string[]> {
  return generateMigration(generateDrizzleJson({}), generateDrizzleJson(schema));
}

/**
 * `drop_databases.ts PREFIX`: drops the databases of a run from the server in TEST_SERVER_URL, and no other.
 *
 * @module
 */
import postgres from "postgres";

const prefix = Deno.args[0] ?? "";
if (!/^mitthooks_test_[0-9a-f]{12}_$/.test(prefix)) {
  throw new TypeError(`Dropping databases: ${JSON.stringify(prefix)} is no prefix of a run`);
}
const sql = postgres(Deno.env.get("TEST_SERVER_URL") ?? "", { max: 1, onnotice: () => {} });
const databases = await sql<{ name: string }[]>`
  select datname as name from pg_database where starts_with(datname, ${prefix})`;
for (const { name } of databases) await sql`drop database if exists ${sql(name)} with (force)`;
await sql.end();

/**
 * Databases in somebody's server, told from all others by a random prefix that lasts one test run.
 *
 * As a program, `scratch_databases.ts PREFIX` drops them from the server in TEST_SERVER_URL.
 *
 * @module
 */
import postgres from "postgres";
import { fromFileUrl, join, repository } from "./paths.ts";

/** Makes the prefix for one run. */
export function scratchPrefix(): string {
  return `mitthooks_test_${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}_`;
}

/**
 * Drops the databases of one run; no other is touched.
 *
 * @param serverUrl URL of a database of the server for a user who may drop them.
 * @param prefix The prefix of the run.
 * @throws {TypeError} When the prefix is none of {@linkcode scratchPrefix}.
 */
export async function dropScratchDatabases(serverUrl: string, prefix: string): Promise<void> {
  if (!/^mitthooks_test_[0-9a-f]{12}_$/.test(prefix)) {
    throw new TypeError(
      `Dropping scratch databases: ${JSON.stringify(prefix)} is no prefix of a run`,
    );
  }
  const sql = postgres(serverUrl, { max: 1, onnotice: () => {} });
  try {
    const rows = await sql<{ name: string }[]>`
      select datname as name from pg_database where starts_with(datname, ${prefix})`;
    for (const { name } of rows) {
      await sql`drop database if exists ${sql(name)} with (force)`;
    }
  } finally {
    await sql.end();
  }
}

/**
 * The command that drops the databases of one run, for when the run itself cannot any more.
 *
 * @param prefix The prefix of the run. The server is the one in TEST_SERVER_URL.
 */
export function dropCommand(prefix: string): string[] {
  const config = `--config=${join(repository, "deno.json")}`;
  return [Deno.execPath(), "run", "-A", "--quiet", config, fromFileUrl(import.meta.url), prefix];
}

if (import.meta.main) {
  await dropScratchDatabases(Deno.env.get("TEST_SERVER_URL") ?? "", Deno.args[0] ?? "");
}

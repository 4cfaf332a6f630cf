/**
 * Databases and servers for tests. Run the tests with `deno task test`, which provides PostgreSQL.
 *
 * @module
 */
import postgres from "postgres";

export { type PostgresServer, startServer } from "../../scripts/lib/postgres_server.ts";

/** How to create a database. */
export interface TestDatabaseOptions {
  /** URL of the database to copy, with all it holds; nobody may be connected to it. Default: empty. */
  readonly template?: string;
  /** URL of a server's database for a user who may create others. Default: the server of this test run. */
  readonly server?: string;
}

/** A database for one test. */
export interface TestDatabase extends AsyncDisposable {
  /** URL for its owner, a superuser on a throwaway server. */
  readonly url: string;
  /** Drops the database, open connections and all. Does nothing the second time. */
  drop(): Promise<void>;
}

/**
 * Creates a database for one test.
 *
 * @param options What it holds, and where it is.
 * @returns The database; `await using` drops it at the end of the test.
 * @throws {Error} When no server is there.
 */
export async function createDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const server = options.server ?? Deno.env.get("TEST_SERVER_URL");
  if (!server) {
    throw new Error("Creating a test database: TEST_SERVER_URL is not set, use `deno task test`");
  }
  const prefix = Deno.env.get("TEST_DATABASE_PREFIX") ?? "mitthooks_test_";
  const name = prefix + crypto.randomUUID().replaceAll("-", "");
  await administrate(server, (sql) =>
    options.template === undefined
      // template0: nobody can be connected to it, and it may be copied into any encoding.
      ? sql`create database ${
        sql(name)
      } template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'`
      : sql`create database ${sql(name)} template ${sql(databaseOf(options.template))}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  let dropped: Promise<void> | undefined;
  const drop = () =>
    dropped ??= administrate(
      server,
      (sql) => sql`drop database if exists ${sql(name)} with (force)`,
    );
  return { url: url.href, drop, [Symbol.asyncDispose]: drop };
}

function databaseOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1));
}

async function administrate(
  url: string,
  work: (sql: postgres.Sql) => PromiseLike<unknown>,
): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

/**
 * Calls a function until it returns something other than `undefined`, `null` or `false`.
 *
 * @param fn What to ask; an error it throws counts as "not yet".
 * @param options `timeoutMs`: longest time to wait, in milliseconds, 10 000 by default; `intervalMs`: time
 *   between two calls, 25 by default.
 * @returns What the function returned.
 * @throws {Error} When the time is over; its cause is the last error of the function.
 */
export async function poll<T>(
  fn: () => T | Promise<T>,
  options: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<Exclude<Awaited<T>, undefined | null | false>> {
  const { timeoutMs = 10_000, intervalMs = 25 } = options;
  const limit = Date.now() + timeoutMs;
  while (true) {
    let lastError: unknown;
    try {
      const result = await fn();
      if (result !== undefined && result !== null && result !== false) {
        return result as Exclude<Awaited<T>, undefined | null | false>;
      }
    } catch (error) {
      lastError = error;
    }
    if (Date.now() >= limit) {
      throw new Error(`Polling: nothing after ${timeoutMs} ms`, { cause: lastError });
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

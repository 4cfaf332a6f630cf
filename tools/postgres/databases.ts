/**
 * Databases and servers for tests. Run the tests with `deno task test`, which provides PostgreSQL.
 */
import postgres from "postgres";

export { type PostgresServer, startServer } from "./server.ts";

export interface TestDatabase extends AsyncDisposable {
  /** Its owner's URL; on a throwaway server a superuser. */
  readonly url: string;
  /** Drops the database including open connections. Calling it again has no effect. */
  drop(): Promise<void>;
}

/** Creates an empty database for one test, on the test run's server or another one. */
export async function createDatabase(
  { server = Deno.env.get("TEST_SERVER_URL") }: { readonly server?: string } = {},
): Promise<TestDatabase> {
  if (!server) {
    throw new Error("Creating a test database: TEST_SERVER_URL is not set, use `deno task test`");
  }
  const prefix = Deno.env.get("TEST_DATABASE_PREFIX") ?? "mitthooks_test_";
  const name = prefix + crypto.randomUUID().replaceAll("-", "");
  // template0: nobody can be connected to it, and copies may have any encoding.
  await query(
    server,
    `create database "${name}" template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'`,
  );
  const url = new URL(server);
  url.pathname = `/${name}`;
  let dropped: Promise<unknown> | undefined;
  const drop = async () =>
    void await (dropped ??= query(server, `drop database if exists "${name}" with (force)`));
  return { url: url.href, drop, [Symbol.asyncDispose]: drop };
}

/** Runs SQL on a separate connection; returns the rows of the last statement. */
export async function query(url: string, statements: string): Promise<Record<string, unknown>[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const result: unknown[] = await sql.unsafe(statements).finally(() => sql.end());
  const rows = Array.isArray(result[0]) ? result.at(-1) : result;
  return (rows as Record<string, unknown>[]).map((row) => ({ ...row }));
}

/**
 * Calls a function until it returns a value other than `undefined`, `null` or `false`; an error
 * counts as "not yet".
 *
 * @throws {Error} At the time limit; its cause is the function's last error.
 */
export async function poll<T>(
  fn: () => T | Promise<T>,
  { timeoutMs = 30_000, intervalMs = 10 } = {},
): Promise<NonNullable<T>> {
  const limit = Date.now() + timeoutMs;
  while (true) {
    let lastError: unknown;
    try {
      const result = await fn();
      if (result !== undefined && result !== null && result !== false) return result;
    } catch (error) {
      lastError = error;
    }
    if (Date.now() >= limit) {
      throw new Error(`Polling ${fn}: nothing after ${timeoutMs} ms`, { cause: lastError });
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

/** Run as a program, a guard: drops the databases with a prefix when their run is over. */
if (import.meta.main) {
  const [prefix] = Deno.args;
  const server = Deno.env.get("TEST_SERVER_URL")!;
  await Deno.stdin.readable.pipeTo(new WritableStream());
  const list = () =>
    query(server, `select datname from pg_database where starts_with(datname, '${prefix}')`);
  for (let found = await list(); found.length > 0; found = await list()) {
    for (const { datname } of found) await query(server, `drop database "${datname}" with (force)`);
    // Killed tests may have been about to create another.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
  }
}

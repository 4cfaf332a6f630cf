/** A PostgreSQL server of which everything that it writes down can be read. */

import postgres from "postgres";
import { GuardedDirectory } from "../../scripts/lib/guarded_directory.ts";
import { join } from "../../scripts/lib/paths.ts";
import { findPostgres } from "../../scripts/lib/postgres_binaries.ts";
import { type PostgresServer, startServer } from "../../scripts/lib/postgres_server.ts";

/** All that PostgreSQL can be told to log of statements, their values and their errors. */
const LOG_EVERYTHING = {
  logging_collector: "on",
  log_directory: "log",
  log_statement: "all",
  log_duration: "on",
  log_min_messages: "debug1",
  log_min_error_statement: "debug5",
  log_error_verbosity: "verbose",
  log_parameter_max_length: "-1",
  log_parameter_max_length_on_error: "-1",
};

/** The server. */
export interface WatchedPostgres extends PostgresServer {
  /** Its log so far. */
  log(): Promise<string>;
  /** Everything in a database: what `pg_dump` writes, where it is installed, and every row of every table. */
  dump(url: string): Promise<string>;
}

/** Starts the server. */
export async function startWatchedPostgres(): Promise<WatchedPostgres> {
  const directory = new GuardedDirectory();
  try {
    const binaries = await findPostgres(directory);
    const server = await startServer({ directory, binaries, settings: LOG_EVERYTHING });
    return {
      ...server,
      log: () => readLog(server.url),
      dump: async (url) => `${await pgDump(binaries.bin, url)}\n${await readTables(url)}`,
      [Symbol.asyncDispose]: () => directory.close(),
    };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

async function readLog(url: string): Promise<string> {
  const sql = postgres(url, { max: 1 });
  try {
    const files = await sql<{ text: string }[]>`
      select pg_read_file('log/' || name) as text from pg_ls_logdir() order by name`;
    return files.map(({ text }) => text).join("\n");
  } finally {
    await sql.end();
  }
}

async function pgDump(bin: string, url: string): Promise<string> {
  const program = join(bin, "pg_dump");
  if (!await Deno.stat(program).then(() => true, () => false)) return "";
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: ["--inserts", `--dbname=${url}`],
    env: { LC_ALL: "C" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`Dumping a database: pg_dump failed\n${decode(stderr)}`);
  return decode(stdout);
}

async function readTables(url: string): Promise<string> {
  const sql = postgres(url, { max: 1 });
  try {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')`;
    const rows: string[] = [];
    for (const { name } of tables) {
      const found = await sql.unsafe<{ text: string }[]>(`select t::text as text from ${name} t`);
      rows.push(name, ...found.map(({ text }) => text));
    }
    return rows.join("\n");
  } finally {
    await sql.end();
  }
}

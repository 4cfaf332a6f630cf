/** A PostgreSQL server of which everything that it writes down can be read. */

import postgres from "postgres";
import { GuardedDirectory } from "../../scripts/lib/guarded_directory.ts";
import { runInDirectory } from "../../scripts/lib/npm_process.ts";
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
    const log = `select pg_read_file('log/' || name) as text from pg_ls_logdir() order by name`;
    return {
      ...server,
      log: async () => (await texts(server.url, log)).join("\n"),
      dump: async (url) => `${await pgDump(binaries.bin, url)}\n${await readTables(url)}`,
      [Symbol.asyncDispose]: () => directory.close(),
    };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

async function texts(url: string, query: string): Promise<string[]> {
  const sql = postgres(url, { max: 1 });
  try {
    return (await sql.unsafe<{ text: string }[]>(query)).map(({ text }) => text);
  } finally {
    await sql.end();
  }
}

async function pgDump(bin: string, url: string): Promise<string> {
  const program = join(bin, "pg_dump");
  if (!await Deno.stat(program).then(() => true, () => false)) return "";
  const args = ["--inserts", `--dbname=${url}`];
  return (await runInDirectory(bin, program, args, { LC_ALL: "C" })).stdout;
}

async function readTables(url: string): Promise<string> {
  const tables = await texts(
    url,
    `select format('%I.%I', schemaname, tablename) as text from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`,
  );
  const rows: string[] = [];
  for (const name of tables) {
    rows.push(name, ...await texts(url, `select t::text as text from ${name} t`));
  }
  return rows.join("\n");
}

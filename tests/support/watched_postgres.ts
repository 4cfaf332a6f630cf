/** A PostgreSQL server whose log and tables can be read completely. */

import { type PostgresServer, query, startServer } from "../../tools/postgres/databases.ts";

/** Settings to log all statements, values and errors. */
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

export interface WatchedPostgres extends PostgresServer {
  /** Its log so far. */
  log(): Promise<string>;
  /** Every row of every table of a database. */
  dump(url: string): Promise<string>;
}

export async function startWatchedPostgres(): Promise<WatchedPostgres> {
  const server = await startServer({ settings: LOG_EVERYTHING });
  const texts = async (url: string, select: string) =>
    (await query(url, `select ${select}`)).map(({ text }) => String(text));
  const log = `pg_read_file('log/' || name) as text from pg_ls_logdir() order by name`;
  const tables = `format('%I.%I', schemaname, tablename) as text from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`;
  return {
    ...server,
    log: async () => (await texts(server.url, log)).join("\n"),
    async dump(url) {
      const rows: string[] = [];
      for (const name of await texts(url, tables)) {
        rows.push(name, ...await texts(url, `t::text as text from ${name} t`));
      }
      return rows.join("\n");
    },
  };
}

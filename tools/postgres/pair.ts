/**
 * Two throwaway PostgreSQL servers: a primary, and a synchronous standby that takes over when the primary is killed.
 *
 * @module
 */
import postgres from "postgres";
import { poll } from "./databases.ts";
import type { GuardedDirectory } from "../guarded_directory.ts";
import type { PostgresBinaries } from "./binaries.ts";
import { startServer } from "./server.ts";

/** Replication waits for what the other server has written. */
const SETTINGS = { synchronous_commit: "on" };

/** A primary and its standby. */
export interface PostgresPair {
  /** URL of the primary's `postgres` database. */
  readonly primaryUrl: string;
  /** URL with both hosts, for whoever needs a server that can be written to. */
  readonly bothUrl: string;
  /** Kills the primary, promotes the standby, and resolves to the URL of its `postgres` database. */
  failOver(): Promise<string>;
}

/**
 * Starts both.
 *
 * @param directory Holds them, and ends them.
 * @param binaries The programs, `pg_basebackup` among them.
 * @throws {Error} When one of them does not start.
 */
export async function startPair(
  directory: GuardedDirectory,
  binaries: PostgresBinaries,
): Promise<PostgresPair> {
  const options = { directory, binaries, settings: SETTINGS };
  const { url: primaryUrl } = await startServer(options);
  const { url: standbyUrl } = await startServer({ ...options, primaryUrl });
  // After the copy was made: as the new primary, the standby must not wait for a standby of its own.
  await query(primaryUrl, "alter system set synchronous_standby_names = '*'");
  await query(primaryUrl, "select pg_reload_conf()");
  await poll(async () => {
    const rows = await query(primaryUrl, "select sync_state from pg_stat_replication");
    return rows.length === 1 && rows[0]!["sync_state"] === "sync";
  });

  const bothUrl = new URL(primaryUrl);
  bothUrl.searchParams.set("target_session_attrs", "read-write");
  return {
    primaryUrl,
    bothUrl: bothUrl.href.replace(bothUrl.host, `${bothUrl.host},${new URL(standbyUrl).host}`),
    async failOver() {
      // The server itself first, so that it starts nothing anew.
      const processes = await query(
        primaryUrl,
        `select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int as pid
         union all select pid from pg_stat_activity`,
      );
      for (const { pid } of processes) {
        try {
          Deno.kill(Number(pid), "SIGKILL");
        } catch { /* it has ended */ }
      }
      await query(standbyUrl, "select pg_promote()");
      return standbyUrl;
    },
  };
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return await sql.unsafe(statement).finally(() => sql.end());
}

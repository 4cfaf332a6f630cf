/** Sessions that block the tested code. */

// @ts-types="@types/pg"
import pg from "pg";
import type { OtherSession } from "./suite.ts";

/** Upper bound of a wait for a lock in milliseconds, even on a busy machine. */
const LIMIT_MS = 30_000;

export async function openSession(connectionString: string): Promise<OtherSession> {
  const [client, observer] = [
    new pg.Client({ connectionString }),
    new pg.Client({ connectionString }),
  ];
  await Promise.all([client.connect(), observer.connect()]);
  const [{ pid }] = (await client.query("SELECT pg_backend_pid() AS pid")).rows;
  return {
    async sql(statement) {
      await client.query(statement);
    },
    async untilWaiting() {
      const end = Date.now() + LIMIT_MS;
      while (Date.now() < end) {
        const { rows } = await observer.query(
          "SELECT 1 FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid))",
          [pid],
        );
        if (rows.length > 0) return;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      throw new Error(`nobody waits after ${LIMIT_MS} ms`);
    },
    async close() {
      await Promise.all([client.end(), observer.end()]);
    },
  };
}

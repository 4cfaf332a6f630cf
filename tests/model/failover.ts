/**
 * Kills the primary half-way; its synchronous standby takes over. Needs `pg_basebackup`, which npm
 * lacks.
 */

import { assertEquals } from "@std/assert";
import { poll, query, startServer } from "../../tools/postgres/databases.ts";
import { differencesOf } from "./run.ts";

Deno.test("model: deliveries to a primary that is killed and replaced", async () => {
  // Replication waits for the other server's writes.
  const settings = { synchronous_commit: "on" };
  await using primary = await startServer({ settings });
  await using standby = await startServer({ settings, primaryUrl: primary.url });
  // After the copy: as the new primary, the standby must not wait for its own standby.
  await query(primary.url, "alter system set synchronous_standby_names = '*'");
  await query(primary.url, "select pg_reload_conf()");
  const isSynchronous = "select from pg_stat_replication where sync_state = 'sync'";
  await poll(async () => (await query(primary.url, isSynchronous)).length === 1);

  const both = primary.url.replace(/\/postgres$/, `,${new URL(standby.url).host}/postgres`);
  let failedOver = false;
  const differences = await differencesOf({
    deliveries: 2_000,
    databaseUrl: primary.url,
    serversUrl: `${both}?target_session_attrs=read-write`,
    async halfTime() {
      // Like a crash, but without leaking shared memory.
      await primary.stop("SIGQUIT");
      await query(standby.url, "select pg_promote()");
      failedOver = true;
      return standby.url;
    },
  });
  assertEquals([differences, failedOver], [[], true]);
});

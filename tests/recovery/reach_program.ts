/**
 * Compares a table of many instances with an API that takes 20 ms per answer, and prints time and
 * memory. Arguments: database URL, API URL, number of instances.
 */

import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { PgExtensionStorage } from "../../mod.ts";
import { compareWithMstudio } from "../../recovery/mod.ts";
import { extensionInstances, lastEvents } from "../support/extension_instance.ts";

const [database, apiUrl] = Deno.args as [string, string];
const sql = postgres(database, { max: 4 });
const storage = new PgExtensionStorage(drizzle(sql), extensionInstances, { lastEvents });
const start = performance.now();
const { counts, equal } = await compareWithMstudio({
  storage,
  extensionId: "my-extension",
  apiToken: "token",
  apiUrl,
});
const seconds = (performance.now() - start) / 1_000;
await sql.end();
// proc_pid_status(5): the peak resident memory.
const [, kib] = /VmHWM:\s+(\d+) kB/.exec(await Deno.readTextFile("/proc/self/status")) ?? [];
console.log(JSON.stringify({ counts, equal, seconds, peakMiB: Number(kib) / 1_024 }));

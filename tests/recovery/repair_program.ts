/**
 * Compares and repairs in a process that can be killed. Arguments: database URL, API URL, API
 * token.
 */

import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { PgExtensionStorage } from "../../mod.ts";
import { compareWithMstudio, repair } from "../../recovery/mod.ts";
import { extensionInstances, lastEvents } from "../support/extension_instance.ts";
import { EXTENSION_ID, hurried } from "./support.ts";

const [database, apiUrl, apiToken] = Deno.args as [string, string, string];
const sql = postgres(database, { max: 4 });
const storage = new PgExtensionStorage(drizzle(sql), extensionInstances, { lastEvents });
const access = { storage, apiUrl, apiToken };
await hurried(50, async () => {
  const found = await compareWithMstudio({
    ...access,
    extensionId: EXTENSION_ID,
    checkSecrets: true,
  });
  const report = await repair(found, access);
  console.log(JSON.stringify(report));
});
await sql.end();

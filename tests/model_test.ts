/** However deliveries arrive, the tables match mStudio, and every change happens once. */

import { assertEquals } from "@std/assert";
import { createDatabase } from "../tools/postgres/databases.ts";
import { differencesOf } from "./model/run.ts";

Deno.test("model: deliveries to two servers that are killed, cut off and held up", async () => {
  await using database = await createDatabase();
  assertEquals(await differencesOf({ deliveries: 500, databaseUrl: database.url }), []);
});

Deno.test("model: attempts that keep the time of their event", async () => {
  await using database = await createDatabase();
  const options = { deliveries: 200, restamp: false, databaseUrl: database.url };
  assertEquals(await differencesOf(options), []);
});

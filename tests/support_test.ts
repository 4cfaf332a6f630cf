import { assertEquals } from "@std/assert";
import postgres from "postgres";
import { createDatabase } from "./support/postgres.ts";

Deno.test("smoke", async () => {
  await using database = await createDatabase();
  const sql = postgres(database.url);
  assertEquals((await sql`select 1 as one`)[0], { one: 1 });
  await sql.end();
});

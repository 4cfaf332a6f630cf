/**
 * The database and the values with which runtimes show that they read each other.
 *
 * @module
 */
import postgres from "postgres";
import { extensionInstanceDdl } from "../../tests/support/extension_instance.ts";
import type { Lab } from "./lab.ts";

/**
 * Written by the original package, 0.1.0, under "master password" and "salt": what `writeExchanged` of the
 * conformance suite writes under the name "the original".
 */
const BY_THE_ORIGINAL = {
  scrypt:
    "cwPgJldrcIXq87Gh:j9tR2CVz16c9kbQhndYrRuGh5qLfSPlZI2/fJtIU9XG3gc5fbHZO:PBavM5oPjS/exIzL9WqLVA==",
  row: "t7YJjZiEknc9Tb2W:lPhgYLsPFFAMd+D/+TRCwJaKpQaCuczN5WeMjW41RKYHdw==:pCwClErC5r3XxUyLqvwGUA==",
};

/** Prepares it. */
export async function openExchange(lab: Lab): Promise<void> {
  lab.exchangeUrl = await lab.createDatabase();
  const sql = postgres(lab.exchangeUrl, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(extensionInstanceDdl);
  } finally {
    await sql.end();
  }
  lab.values["the original"] = BY_THE_ORIGINAL;
}

/**
 * Copies what was written by runtimes that reach no database into rows: others read these through Drizzle.
 *
 * @returns Nothing; the rows are in the lab's list afterwards.
 */
export async function rowsOfOthers(lab: Lab): Promise<void> {
  const sql = postgres(lab.exchangeUrl, { max: 1 });
  try {
    for (const [writer, { row }] of Object.entries(lab.values)) {
      if (row === undefined || lab.rows.includes(writer)) continue;
      await sql`
        INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
        VALUES (${writer}, 'p-abc123', true, '{}', ${row})`;
      lab.rows.push(writer);
    }
  } finally {
    await sql.end();
  }
}

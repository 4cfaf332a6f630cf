/** Checks whether the schema's keys can read a table. */

import { sql } from "drizzle-orm";
import { DecryptionError, InvalidCiphertextError } from "../errors.ts";
import { describeTable } from "../pg/internal/columns/encrypted_table.ts";
import { mapBounded } from "../pg/internal/columns/map_bounded.ts";
import { runStatement } from "../pg/internal/storage/run_statement.ts";
import { Statement } from "../pg/internal/storage/statement.ts";
import type { EncryptableDatabase } from "../pg/interfaces.ts";
import type { NamedTable } from "./schema_module.ts";

/** Values tried at either end of a table. */
const TRIED = 250;

/** Shown when no value can be read. */
export const NOTHING_READABLE =
  "No value can be read with the available keys: most likely the values were encrypted with another " +
  "master password or salt";

/**
 * Whether all values at both ends of a table, by primary key, are encrypted with other keys.
 * Reading the whole table would then show nothing more.
 */
export async function isUnderOtherKeys(
  db: EncryptableDatabase,
  { table }: NamedTable,
): Promise<boolean> {
  const { primaryKey, encrypted } = describeTable("Trying the keys of a table", table);
  let tried = 0;
  for (const { column, key } of encrypted) {
    const end = (direction: "asc" | "desc") => {
      const order = primaryKey.map(([, part]) => sql`${part} ${sql.raw(direction)}`);
      return sql`(select ${column} as "value" from ${table} where ${column} is not null order by ${
        sql.join(order, sql`, `)
      } limit ${sql.raw(String(TRIED))})`;
    };
    const ends = new Statement(db, sql`${end("asc")} union all ${end("desc")}`);
    const rows = await runStatement("reencrypt", () => ends.run(db, {}));
    const otherKey = await mapBounded(rows, async ({ value }) => {
      try {
        await key.decrypt(value as string);
        return false;
      } catch (error) {
        if (error instanceof DecryptionError) return !(error instanceof InvalidCiphertextError);
        throw error;
      }
    });
    if (otherKey.includes(false)) return false;
    tried += rows.length;
  }
  return tried > 0;
}

/** Whether the keys of the schema are those that a table was written under. */

import { sql } from "drizzle-orm";
import { DecryptionError, InvalidCiphertextError } from "../errors.ts";
import { describeTable } from "../pg/internal/columns/encrypted_table.ts";
import { mapBounded } from "../pg/internal/columns/map_bounded.ts";
import { runStatement } from "../pg/internal/storage/run_statement.ts";
import { Statement } from "../pg/internal/storage/statement.ts";
import type { EncryptableDatabase } from "../pg/interfaces.ts";
import type { NamedTable } from "./schema_module.ts";

/** So many values are tried at either end of a table. */
const TRIED = 250;

/** Told where no value can be read. */
export const NOTHING_READABLE =
  "No value can be read with the keys at hand: most likely master password or salt are not those " +
  "that the values were written under";

/**
 * Whether the values at both ends of a table, by its primary key, are all encrypted under other keys: then going
 * through it would tell no more.
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

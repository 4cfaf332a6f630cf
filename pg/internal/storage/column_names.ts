/** The names of columns as statements need them that Drizzle does not build. */

import { type SQL, sql } from "drizzle-orm";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { Column } from "../columns/encrypted_table.ts";
import { render } from "./statement.ts";

/** The last part of a qualified name. */
const LAST_NAME = /"(?:[^"]|"")*"$/;

/** Names in one database: Drizzle's `casing` makes some of them. */
export class ColumnNames {
  constructor(readonly db: EncryptableDatabase) {}

  /** A column's name without its table's, as INSERT, SET and conflict targets take it. */
  of(column: Column): SQL {
    const qualified = render(this.db, sql`${column}`);
    return sql.raw(LAST_NAME.exec(qualified)![0]);
  }
}

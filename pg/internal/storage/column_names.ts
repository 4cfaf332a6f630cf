/** Column names for statements that Drizzle does not build. */

import { type SQL, sql } from "drizzle-orm";
import type { EncryptableDatabase } from "../../interfaces.ts";
import type { Column } from "../columns/encrypted_table.ts";
import { render } from "./statement.ts";

/** The last part of a qualified name. */
const LAST_NAME = /"(?:[^"]|"")*"$/;

/** Names in one database, where Drizzle's `casing` generates some of them. */
export class ColumnNames {
  constructor(readonly db: EncryptableDatabase) {}

  /** A column's name without its table, for INSERT, SET and conflict targets. */
  of(column: Column): SQL {
    const qualified = render(this.db, sql`${column}`);
    return sql.raw(LAST_NAME.exec(qualified)![0]);
  }
}

/**
 * Tables besides that of the instances.
 *
 * @module
 */
import { integer, pgTable, text } from "drizzle-orm/pg-core";

/** Rows without encrypted columns. */
export const notes = pgTable("note", { id: integer().primaryKey(), body: text() });

/** Rows of the table of notes. */
export const NOTES = 1_000;

/** Rows whose secret Drizzle takes for plain text. */
export const plainItems = pgTable("item", { id: integer().primaryKey(), secret: text() });

/** What is inserted, into a table of the same form as that of the items. */
export const plainInserted = pgTable("inserted", { id: integer().primaryKey(), secret: text() });

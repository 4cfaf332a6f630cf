/** Shared by contestants: their job, data, and Drizzle queries. */

import { eq, lte } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { integer, pgTable, text } from "drizzle-orm/pg-core";

export const PASSWORD = "a master password";
export const SALT = "a salt";
export const EXTENSION_ID = "2e3cf3c4-9df5-4e26-8a27-a2ee7b3d4ec6";

/** Pieces of work that start together, 16 at a time. */
export const MANY = 256;

/** The first message to a contestant's process. */
export interface Job {
  readonly url: string;
  /** mStudio's public key in base64, and arguments of `new Request` that it signed. */
  readonly publicKey: string;
  readonly requests: readonly (readonly [url: string, init: RequestInit])[];
}

/**
 * The work of contestants, as their users would do it; `get` reads a secret, `selectPlain` plain
 * columns.
 */
export interface Contestant {
  handle(request: Request): Promise<{ readonly status: number }>;
  handleInOrder?(request: Request): Promise<{ readonly status: number }>;
  upsert(instance: Instance): unknown;
  rotate(instance: Instance): unknown;
  update(instance: Instance): unknown;
  get(instance: Instance): Promise<string | null | undefined>;
  select(rows: number): Promise<Item[]>;
  selectOne(id: number): Promise<Item[]>;
  insert(items: Item[]): unknown;
  selectPlain(id: number): Promise<readonly unknown[]>;
  /** Re-encrypts a table with another key, and back the next time; returns the number of rows. */
  reencrypt?(): Promise<number>;
}

export type Instance = ReturnType<typeof instanceOf>;
export type Item = { readonly id: number; readonly secret: string | null };

/** 1,000 different secrets of the length of mStudio's. */
export const secretOf = (number: number) => `-${number % 1_000}`.padStart(44, "0");

export const instanceOf = (number: number) => ({
  extensionInstanceId: `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`,
  contextId: "7a9d8971-09b0-4c39-8c64-546b6e1875ce",
  consentedScopes: ["project:read", "project:write"],
  enabled: true,
  secret: secretOf(number),
});

/** Queries that are the same with and without this library. */
export function drizzleQueries(db: NodePgDatabase, encryptedText: typeof text) {
  const columns = () => ({ id: integer().primaryKey(), secret: encryptedText() });
  const [items, inserted] = [pgTable("item", columns()), pgTable("inserted", columns())];
  const notes = pgTable("note", { id: integer().primaryKey(), body: text() });
  return {
    select: (rows: number): Promise<Item[]> =>
      db.select().from(items).where(lte(items.id, rows)).orderBy(items.id),
    selectOne: (id: number): Promise<Item[]> => db.select().from(items).where(eq(items.id, id)),
    insert: (items: Item[]) => db.insert(inserted).values(items),
    selectPlain: (id: number) => db.select().from(notes).where(eq(notes.id, id)),
  };
}

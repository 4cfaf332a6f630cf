/** Shapes of queries, by names of their own. */

import type { AnyDatabase } from "./suite.ts";

export type Shapes<T> = Record<string, T>;

/** Gets the database with and without `withEncryption`. */
export type Query = (db: AnyDatabase, plain: AnyDatabase) => PromiseLike<unknown>;

/** A query that is allowed, and what it is to lead to. */
export const expecting = (expected: unknown, query: Query) => ({ expected, query });
export type Allowed = ReturnType<typeof expecting>;

/** Named shapes of queries. */

import type { AnyDatabase } from "./suite.ts";

export type Shapes<T> = Record<string, T>;

/** Gets the database with and without `withEncryption`. */
export type Query = (db: AnyDatabase, plain: AnyDatabase) => PromiseLike<unknown>;

/** An allowed query with its expected result. */
export const expecting = (expected: unknown, query: Query) => ({ expected, query });
export type Allowed = ReturnType<typeof expecting>;

/** Modules without types in this repository. */

import type { closingOf } from "./close_pool.ts";

type Client = { close(): Promise<unknown>; end(): Promise<unknown> };

/** The parts that are used. */
export interface Untyped {
  drizzle(options: unknown): unknown;
  SQL: new (options: unknown) => Client;
  Pool: new (options: unknown) => Client & Parameters<typeof closingOf>[0];
  neon(url: string): unknown;
  neonConfig: Record<string, unknown>;
}

/** The specifier is not a literal, so that Deno and bundlers do not resolve it. */
export function importUntyped(specifier: string): Promise<Untyped> {
  return import(specifier);
}

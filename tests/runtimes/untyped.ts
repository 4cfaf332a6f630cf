/**
 * Modules whose types are not here.
 *
 * @module
 */

import type { closingOf } from "./close_pool.ts";

type Client = { close(): Promise<unknown>; end(): Promise<unknown> };

/** What is used of them. */
export interface Untyped {
  drizzle(options: unknown): unknown;
  SQL: new (options: unknown) => Client;
  Pool: new (options: unknown) => Client & Parameters<typeof closingOf>[0];
  neon(url: string): unknown;
  neonConfig: Record<string, unknown>;
}

/** The specifier is no literal, so that neither Deno nor a bundler looks for the module. */
export function importUntyped(specifier: string): Promise<Untyped> {
  return import(specifier);
}

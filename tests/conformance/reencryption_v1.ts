/**
 * The suite of re-encryption for Drizzle 1.0, which has no `casing` option for databases any more.
 *
 * @module
 */
import { reencryption as reencryptionOfToday } from "../suites/reencryption.ts";
import type { Case } from "../suites/suite.ts";

export const reencryption: readonly Case[] = reencryptionOfToday
  .filter(({ name }) => name !== "with Drizzle's casing");

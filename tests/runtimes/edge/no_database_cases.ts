/** For runtimes that reach no database. */

import type { BoundCase } from "../../conformance/report.ts";

export function databaseCases(): BoundCase[] {
  return [];
}

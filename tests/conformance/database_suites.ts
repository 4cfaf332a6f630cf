/**
 * The suites that need a database, by their titles.
 *
 * @module
 */
import { changes } from "../suites/changes.ts";
import { confidentiality } from "../suites/confidentiality.ts";
import { damage } from "../suites/damage.ts";
import { order } from "../suites/order.ts";
import { reads } from "../suites/reads.ts";
import { reencryption } from "../suites/reencryption.ts";
import { refusals } from "../suites/refusals.ts";
import { relational } from "../suites/relational.ts";
import { rule } from "../suites/rule.ts";
import { storage } from "../suites/storage.ts";
import type { Case } from "../suites/suite.ts";
import { transactions } from "../suites/transactions.ts";
import { writes } from "../suites/writes.ts";

export const databaseSuites: Readonly<Record<string, readonly Case[]>> = {
  rule,
  writes,
  reads,
  "relational queries": relational,
  transactions,
  refusals,
  confidentiality,
  damage,
  storage,
  order,
  changes,
  "re-encryption": reencryption,
};

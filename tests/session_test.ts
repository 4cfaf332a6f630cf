import { confidentiality } from "./suites/confidentiality.ts";
import { damage } from "./suites/damage.ts";
import { reads } from "./suites/reads.ts";
import { refusals } from "./suites/refusals.ts";
import { relational } from "./suites/relational.ts";
import { rule, scalarSubquery } from "./suites/rule.ts";
import { transactions } from "./suites/transactions.ts";
import { writes } from "./suites/writes.ts";
import { testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("rule", [...rule, scalarSubquery]);
testOnEachDriver("writes", writes);
testOnEachDriver("reads", reads);
testOnEachDriver("relational queries", relational);
testOnEachDriver("transactions", transactions);
testOnEachDriver("refusals", refusals);
testOnEachDriver("confidentiality", confidentiality);
testOnEachDriver("damage", damage);

import { changes } from "./suites/changes.ts";
import { testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("changes", changes);

import { reencryption } from "./suites/reencryption.ts";
import { testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("re-encryption", reencryption);

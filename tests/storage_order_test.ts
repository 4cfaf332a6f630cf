import { order } from "./suites/order.ts";
import { testOnEachDriver } from "./support/drivers.ts";

testOnEachDriver("order", order);

/**
 * Runs the cases on Node and Bun. The job is JSON in the variable JOB; TAP goes to standard output.
 *
 * @module
 */
import process from "node:process";
import {
  databaseCases,
  type DatabaseJob,
  type Driver,
  type Drivers,
} from "../conformance/database_cases.ts";
import { portableCases, type PortableJob } from "../conformance/portable_cases.ts";
import { runCase } from "../conformance/tap.ts";
import { openSession } from "../suites/session.ts";

/** What to do. */
type ServerJob = PortableJob & DatabaseJob & {
  /** Whether to run what depends on the runtime alone. */
  readonly portable: boolean;
  readonly drivers: readonly string[];
  /** What stands between the driver and the database. */
  readonly through?: string;
};

const job = JSON.parse(process.env["JOB"]!) as ServerJob;
const drivers: Record<string, Drivers[string]> = {};
for (const title of job.drivers) {
  // By their names, for not every project has what all of them import.
  const module = `./drivers/${title.toLowerCase().replaceAll(/\W/g, "_")}.js`;
  const driver: Driver = await import(new URL(module, import.meta.url).href);
  drivers[title] = { ...driver, ...job.through !== undefined && { through: job.through } };
}
const cases = [
  ...job.portable ? portableCases(job) : [],
  ...databaseCases(job, drivers, openSession),
];
console.log(`1..${cases.length}`);
let status = 0;
for (const [index, found] of cases.entries()) {
  const report = await runCase(index, found);
  if (report.startsWith("not ok")) status = 1;
  // Past the console, for the suites look at what is printed there.
  process.stdout.write(`${report}\n`);
}
// PGlite keeps the process alive.
process.exit(status);

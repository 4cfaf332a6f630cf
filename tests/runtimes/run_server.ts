/**
 * Runs the cases on Node and Bun. The variable JOB has the job as JSON; TAP goes to standard
 * output.
 */
import process from "node:process";
import {
  connectPast,
  databaseCases,
  type DatabaseJob,
  type Driver,
  type Drivers,
} from "../conformance/database_cases.ts";
import { portableCases, type PortableJob } from "../conformance/portable_cases.ts";
import { runCase } from "../conformance/tap.ts";
import { openSession } from "../suites/session.ts";

/** The job. */
type ServerJob = PortableJob & DatabaseJob & {
  /** Whether to run the cases that depend only on the runtime. */
  readonly portable: boolean;
  readonly drivers: readonly string[];
  /** URL of a proxy or pooler between the driver and the database. */
  readonly through?: string;
};

const job = JSON.parse(process.env["JOB"]!) as ServerJob;
const drivers: Record<string, Drivers[string]> = {};
for (const title of job.drivers) {
  // By name, because not every project has the imports of all.
  const module = `./drivers/${title.toLowerCase().replaceAll(/\W/g, "_")}.js`;
  const driver: Driver = await import(new URL(module, import.meta.url).href);
  drivers[title] = { ...driver, ...job.through !== undefined && { through: job.through } };
}
const cases = [
  ...job.portable ? portableCases(job) : [],
  ...databaseCases(job, drivers, { past: connectPast(job.url), openSession }),
];
console.log(`1..${cases.length}`);
let status = 0;
for (const [index, found] of cases.entries()) {
  const report = await runCase(index, found);
  if (report.startsWith("not ok")) status = 1;
  // Past the console, because the suites record its output.
  process.stdout.write(`${report}\n`);
}
// PGlite keeps the process alive.
process.exit(status);

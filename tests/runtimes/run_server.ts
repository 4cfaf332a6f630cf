/**
 * Runs the cases on Node, Bun and Deno. The job is JSON in the variable JOB; TAP goes to standard output.
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
  /** Modules of `drivers/`, by what the report calls them. */
  readonly drivers: Readonly<Record<string, string>>;
  /** What stands between the driver and the database. */
  readonly through?: string;
};

const job = JSON.parse(process.env["JOB"]!) as ServerJob;
const drivers: Record<string, Drivers[string]> = {};
for (const [title, name] of Object.entries(job.drivers)) {
  // Each driver is a module of its own, for not every project has all of them. The extension is that of this module.
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const module = new URL(`./drivers/${name}${extension}`, import.meta.url).href;
  drivers[title] = {
    ...await import(module) as Driver,
    ...job.through && { through: job.through },
  };
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

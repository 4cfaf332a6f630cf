/**
 * Runs the conformance suite on Node, Bun and Deno. The job is JSON in the variable CONFORMANCE_JOB; what
 * came of it goes to standard output as TAP, and the values for other runtimes to the file that it names.
 *
 * @module
 */
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { databaseSuites } from "../conformance/database_suites.ts";
import { encryption } from "../conformance/encryption.ts";
import { readExchanged, writeExchanged } from "../conformance/exchange.ts";
import { platform } from "../conformance/platform.ts";
import { type BoundCase, runCases, tapLine } from "../conformance/report.ts";
import { webhooks } from "../conformance/webhooks.ts";
import type { Case } from "../suites/suite.ts";
import type { Connect } from "./drivers/driver.ts";
import { readRows, writeRow } from "./rows.ts";

/** A driver. */
interface Driver {
  title: string;
  /** Name of its module. */
  module: string;
  /** What stands between it and the database. */
  through?: string;
}

/** What to do. */
interface Job {
  /** Name of the runtime, as writer of values. */
  writer: string;
  /** Drivers to run the suites on. */
  drivers: Driver[];
  /** An empty database of this job's own, where a driver needs one. */
  url: string;
  /** Whether to run the cases that need no database. */
  platform: boolean;
  /** The database with one row of each runtime. */
  exchangeUrl: string;
  /** File for the values for other runtimes. */
  writeTo?: string;
  /** File with the values of all runtimes, and the number of rows in the database. */
  readFrom?: string;
}

interface DriverModule {
  connect: Connect;
  /** Suites of the driver's own, also in the place of those that it cannot run. */
  suites?: Record<string, readonly Case[]>;
  /** What the driver refuses: the message, and the cases that have to fail with it. */
  refused?: { message: string; cases: readonly string[] };
}

async function assertRefused(attempt: Promise<void>, message: string): Promise<void> {
  const found = await attempt.then(() => "nothing", (error: Error) => error.message);
  if (found !== message) throw new Error(`refused with ${found}`);
}

function* platformCases(job: Job): Iterable<BoundCase> {
  if (!job.platform) return;
  for (const [suite, cases] of Object.entries({ encryption, webhooks })) {
    for (const { name, run } of cases) {
      yield { name: `${suite}: ${name}`, run: () => run(platform) };
    }
  }
}

async function* databaseCases(job: Job): AsyncIterable<BoundCase> {
  for (const { title, module, through } of job.drivers) {
    // Not a literal: a bundler would look for it. The extension is that of this module.
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
    const specifier = new URL(`./drivers/${module}${extension}`, import.meta.url).href;
    const { connect, suites = {}, refused } = await import(specifier) as DriverModule;
    for (const [suite, cases] of Object.entries({ ...databaseSuites, ...suites })) {
      for (const { name, run } of cases) {
        const isRefused = refused?.cases.includes(`${suite}: ${name}`);
        yield {
          name: `${suite} (${title}): ${isRefused ? "refused by the driver: " : ""}${name}`,
          async run() {
            const context = await connect({ url: job.url, ...through && { through } });
            try {
              if (isRefused) await assertRefused(run(context), refused!.message);
              else await run(context);
            } finally {
              await context.close();
            }
          },
        };
      }
    }
  }
}

function* exchangeCases(job: Job): Iterable<BoundCase> {
  const { writeTo, readFrom } = job;
  if (writeTo !== undefined) {
    yield {
      name: "exchange: writes for the others",
      async run() {
        await writeFile(writeTo, JSON.stringify(await writeExchanged(job.writer)));
        await writeRow(job.exchangeUrl, job.writer);
      },
    };
  }
  if (readFrom !== undefined) {
    yield {
      name: "exchange: reads what all wrote",
      async run() {
        const { values, rows } = JSON.parse(await readFile(readFrom, "utf8"));
        const count = await readExchanged(values);
        if (count < 3) throw new Error(`only ${count} values were there`);
        await readRows(job.exchangeUrl, rows);
      },
    };
  }
}

const job = JSON.parse(process.env["CONFORMANCE_JOB"]!) as Job;
const cases = [...platformCases(job)];
for await (const found of databaseCases(job)) cases.push(found);
cases.push(...exchangeCases(job));
console.log(`1..${cases.length}`);
let index = 0;
let failed = 0;
// The suites look at what is printed, so this prints past the console.
const results = await runCases(cases, (result) => {
  if (result.error !== undefined) failed++;
  process.stdout.write(`${tapLine(++index, result)}\n`);
});
process.stdout.write(`# ${results.length - failed} passed, ${failed} failed\n`);
// PGlite keeps the process alive.
process.exit(failed === 0 ? 0 : 1);

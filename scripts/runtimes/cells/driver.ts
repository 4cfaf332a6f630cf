/**
 * Cells for drivers that need something between them and PostgreSQL. All of them run on Node.
 *
 * @module
 */
import type { Cell } from "../cell.ts";
import { type Lab, suiteJob } from "../lab.ts";
import { installedVersion } from "../npm_project.ts";
import { startNeonProxy } from "../neon_proxy.ts";
import type { Outcome } from "../outcome.ts";
import { startPgBouncer } from "../pgbouncer.ts";
import { nodeProgram } from "../programs.ts";
import { runRunner } from "../run_program.ts";

interface Driver {
  readonly title: string;
  readonly module: string;
  readonly through: string;
}

async function runDrivers(lab: Lab, url: string, drivers: readonly Driver[]): Promise<Outcome> {
  const { directory, runner } = await lab.project("0.45");
  return await runRunner(lab, {
    command: (await nodeProgram(24)).path,
    args: [runner],
    cwd: directory,
    env: { CONFORMANCE_JOB: JSON.stringify({ ...suiteJob, url, drivers }) },
  });
}

async function versions(lab: Lab, ...first: string[]): Promise<string> {
  const { version } = await nodeProgram(24);
  const { drizzle } = await lab.project("0.45");
  return [...first, `Node ${version}`, `drizzle-orm ${drizzle}`].join(", ");
}

async function neonVersion(lab: Lab): Promise<string> {
  const name = "@neondatabase/serverless";
  const { directory } = await lab.project("0.45");
  return `${name} ${await installedVersion(directory, name)}`;
}

export const driverCells: readonly Cell[] = [
  {
    name: "neon-serverless",
    shows: "all suites, over a WebSocket proxy",
    representative: false,
    async run(lab) {
      await using proxy = startNeonProxy();
      const driver = { module: "neon_serverless", through: proxy.webSocket };
      const outcome = await runDrivers(lab, await lab.createDatabase(), [
        { title: "neon-serverless", ...driver },
      ]);
      return { ...outcome, versions: await versions(lab, await neonVersion(lab)) };
    },
  },
  {
    name: "neon-http",
    shows:
      "all suites and batches, over a local HTTP endpoint; transactions are refused by the driver",
    representative: false,
    async run(lab) {
      await using proxy = startNeonProxy();
      const driver = { module: "neon_http", through: proxy.http };
      const outcome = await runDrivers(lab, await lab.createDatabase(), [
        { title: "neon-http", ...driver },
      ]);
      return { ...outcome, versions: await versions(lab, await neonVersion(lab)) };
    },
  },
  {
    name: "PgBouncer",
    shows: "all suites on postgres.js through transaction pooling",
    representative: false,
    async run(lab) {
      const url = await lab.createDatabase();
      const started = await startPgBouncer(lab.directory, url).catch((error: Error) => error);
      if (started instanceof Error) {
        const [reason] = started.message.split("\n");
        const note = `not run, PgBouncer could not be had here (${reason})`;
        return { passed: 0, failed: 0, failures: [], versions: note };
      }
      const outcome = await runDrivers(lab, url, [
        { title: "PgBouncer", module: "postgres_js", through: started.through(url) },
      ]);
      return { ...outcome, versions: await versions(lab, `PgBouncer ${started.version}`) };
    },
  },
];

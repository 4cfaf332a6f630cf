/**
 * Cells for drivers that need something between them and PostgreSQL. All of them run on Node.
 *
 * @module
 */
import { DRIVERS } from "../../lib/npm_manifest.ts";
import type { Cell } from "../cell.ts";
import { type Install, type Lab, suiteJob } from "../lab.ts";
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

async function runDriver(
  lab: Lab,
  url: string,
  driver: Driver,
  install: Install = {},
): Promise<Outcome> {
  const { directory, runner } = await lab.project("0.45", install);
  return await runRunner(lab, {
    command: (await nodeProgram(24)).path,
    args: [runner],
    cwd: directory,
    env: { CONFORMANCE_JOB: JSON.stringify({ ...suiteJob, url, drivers: [driver] }) },
  });
}

async function versions(lab: Lab, first: string): Promise<string> {
  const { version } = await nodeProgram(24);
  const { drizzle } = await lab.project("0.45");
  return [first, `Node ${version}`, `drizzle-orm ${drizzle}`].join(", ");
}

const NEON = "@neondatabase/serverless";

/** Neon's driver through a proxy, in its newest version or another one. */
function neonCell(
  name: string,
  shows: string,
  through: "webSocket" | "http",
  version?: string,
): Cell {
  const install: Install = version === undefined ? {} : { [NEON]: version };
  return {
    name: version === undefined ? name : `${name} ${version}`,
    shows,
    representative: false,
    async run(lab) {
      await using proxy = startNeonProxy();
      const driver = { title: name, module: name.replace("-", "_"), through: proxy[through] };
      const outcome = await runDriver(lab, await lab.createDatabase(), driver, install);
      const { directory } = await lab.project("0.45", install);
      const installed = `${NEON} ${await installedVersion(directory, NEON)}`;
      return { ...outcome, versions: await versions(lab, installed) };
    },
  };
}

const neonCells = [undefined, DRIVERS[NEON].lowest].flatMap((version) => [
  neonCell("neon-serverless", "all suites, over a WebSocket proxy", "webSocket", version),
  neonCell(
    "neon-http",
    "all suites and batches, over a local HTTP endpoint; transactions are refused by the driver",
    "http",
    version,
  ),
]);

export const driverCells: readonly Cell[] = [
  ...neonCells,
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
      const outcome = await runDriver(lab, url, {
        title: "PgBouncer",
        module: "postgres_js",
        through: started.through(url),
      });
      return { ...outcome, versions: await versions(lab, `PgBouncer ${started.version}`) };
    },
  },
];

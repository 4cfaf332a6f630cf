/**
 * Cells for runtimes that run the suites against PostgreSQL: Node, Bun and Deno.
 *
 * @module
 */
import { importMapWithoutJsr } from "../../lib/import_map.ts";
import { join, repository } from "../../lib/paths.ts";
import type { Cell } from "../cell.ts";
import { type DrizzleLine, type Lab, runners, suiteJob } from "../lab.ts";
import type { Outcome } from "../outcome.ts";
import { bunProgram, denoProgram, nodeProgram, type Program } from "../programs.ts";
import { runRunner } from "../run_program.ts";

interface Driver {
  readonly title: string;
  readonly module: string;
}

const POSTGRES_JS = { title: "postgres.js", module: "postgres_js" };
const NODE_POSTGRES = { title: "node-postgres", module: "node_postgres" };
const PGLITE = { title: "PGlite", module: "pglite" };
const BUN_SQL = { title: "Bun SQL", module: "bun_sql" };

interface ServerCell {
  readonly name: string;
  readonly shows: string;
  readonly representative: boolean;
  readonly line: DrizzleLine;
  readonly drivers: readonly Driver[];
  program(): Promise<Program>;
}

/** A cell that runs the suites and takes part in the exchange. */
function serverCell({ name, shows, representative, line, drivers, program }: ServerCell): Cell {
  const start = async (lab: Lab, job: Record<string, unknown>): Promise<Outcome> => {
    const { path } = await program();
    const fromSource = path === Deno.execPath();
    const common = { ...suiteJob, writer: name, exchangeUrl: lab.exchangeUrl };
    const env = { CONFORMANCE_JOB: JSON.stringify({ ...common, ...job }) };
    if (fromSource) {
      const importMap = await importMapWithoutJsr(lab.directory.path);
      const args = ["run", "-A", "--quiet"];
      if (importMap !== undefined) args.push(`--import-map=${importMap}`);
      return await runRunner(lab, {
        command: path,
        args: [...args, join(runners, "run.ts")],
        cwd: repository,
        env,
      });
    }
    const { directory, runner } = await lab.project(line);
    return await runRunner(lab, { command: path, args: [runner], cwd: directory, env });
  };
  return {
    name,
    shows,
    representative,
    async run(lab) {
      const { name: runtime, version } = await program();
      const writeTo = lab.path(`${name.replaceAll(/\W+/g, "-")}.json`);
      const outcome = await start(lab, {
        drivers,
        url: await lab.createDatabase(),
        platform: true,
        writeTo,
      });
      if (await Deno.stat(writeTo).catch(() => undefined) !== undefined) {
        lab.values[name] = JSON.parse(await Deno.readTextFile(writeTo));
        lab.rows.push(name);
      }
      const drizzle = runtime === "Deno"
        ? "from source"
        : `drizzle-orm ${(await lab.project(line)).drizzle}`;
      return { ...outcome, versions: `${runtime.split(" ")[0]} ${version}, ${drizzle}` };
    },
    async read(lab) {
      const readFrom = lab.path("exchange.json");
      await Deno.writeTextFile(readFrom, JSON.stringify({ values: lab.values, rows: lab.rows }));
      return await start(lab, { readFrom });
    },
  };
}

const ALL_DRIVERS = [POSTGRES_JS, NODE_POSTGRES, PGLITE];
const titles = (drivers: readonly Driver[]) => drivers.map(({ title }) => title).join(", ");

/** Node of one major version. */
function nodeCell(major: number, representative: boolean): Cell {
  return serverCell({
    name: `Node ${major}`,
    shows: `all suites on ${titles(ALL_DRIVERS)}`,
    representative,
    line: "0.45",
    drivers: ALL_DRIVERS,
    program: () => nodeProgram(major),
  });
}

/** Another line of Drizzle, on Node. */
function lineCell(line: DrizzleLine, representative: boolean): Cell {
  const drivers = ALL_DRIVERS;
  return serverCell({
    name: `Drizzle ${line}`,
    shows: `all suites on ${titles(drivers)}`,
    representative,
    line,
    drivers,
    program: () => nodeProgram(24),
  });
}

export const serverCells: readonly Cell[] = [
  serverCell({
    name: "Deno",
    shows: "all suites on postgres.js, from source; `deno task test` adds the other drivers",
    representative: true,
    line: "0.45",
    drivers: [POSTGRES_JS],
    program: () => Promise.resolve(denoProgram()),
  }),
  nodeCell(20, true),
  nodeCell(22, false),
  nodeCell(24, false),
  nodeCell(26, false),
  serverCell({
    name: "Bun",
    shows: `all suites on ${titles([...ALL_DRIVERS, BUN_SQL])}`,
    representative: true,
    line: "0.45",
    drivers: [...ALL_DRIVERS, BUN_SQL],
    program: bunProgram,
  }),
  lineCell("0.44", false),
  lineCell("1.0", true),
];

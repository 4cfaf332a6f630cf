/**
 * Cells for runtimes that run the suites against PostgreSQL: Node, Bun and Deno.
 *
 * @module
 */
import { importMapWithoutJsr } from "../../lib/import_map.ts";
import { DRIVERS } from "../../lib/npm_manifest.ts";
import { join, repository } from "../../lib/paths.ts";
import type { Cell } from "../cell.ts";
import { type DrizzleLine, type Install, type Lab, runners, suiteJob } from "../lab.ts";
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
const ALL_DRIVERS = [POSTGRES_JS, NODE_POSTGRES, PGLITE];

interface ServerCell {
  readonly name: string;
  /** Whether it belongs to the everyday run. */
  readonly representative?: boolean;
  /** Default: 0.45. */
  readonly line?: DrizzleLine;
  /** Default: postgres.js, node-postgres and PGlite. */
  readonly drivers?: readonly Driver[];
  /** Packages in other versions than the newest. */
  readonly install?: Install;
  readonly program: () => Promise<Program>;
}

/** A cell that runs the suites and takes part in the exchange. */
function serverCell(cell: ServerCell): Cell {
  const { name, line = "0.45", drivers = ALL_DRIVERS, install = {}, program } = cell;
  const start = async (lab: Lab, job: Record<string, unknown>): Promise<Outcome> => {
    const { path, name: runtime } = await program();
    const common = { ...suiteJob, writer: name, exchangeUrl: lab.exchangeUrl };
    const env = { CONFORMANCE_JOB: JSON.stringify({ ...common, ...job }) };
    if (runtime === "Deno") {
      const importMap = await importMapWithoutJsr(lab.directory.path);
      const args = ["run", "-A", "--quiet"];
      if (importMap !== undefined) args.push(`--import-map=${importMap}`);
      args.push(join(runners, "run.ts"));
      return await runRunner(lab, { command: path, args, cwd: repository, env });
    }
    const { directory, runner } = await lab.project(line, install);
    return await runRunner(lab, { command: path, args: [runner], cwd: directory, env });
  };
  return {
    name,
    shows: `all suites on ${drivers.map(({ title }) => title).join(", ")}`,
    representative: cell.representative ?? false,
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
      const versions = [
        `${runtime.split(" ")[0]} ${version}`,
        runtime === "Deno"
          ? "from source"
          : `drizzle-orm ${(await lab.project(line, install)).drizzle}`,
        ...Object.entries(install).map(([name, version]) => `${name} ${version}`),
      ];
      return { ...outcome, versions: versions.join(", ") };
    },
    async read(lab) {
      const readFrom = lab.path("exchange.json");
      await Deno.writeTextFile(readFrom, JSON.stringify({ values: lab.values, rows: lab.rows }));
      return await start(lab, { readFrom });
    },
  };
}

/** The lowest versions of drivers that the package takes. */
function lowest(...names: (keyof typeof DRIVERS)[]): Install {
  return Object.fromEntries(names.map((name) => [name, DRIVERS[name].lowest]));
}

const node = (major: number) => () => nodeProgram(major);

export const serverCells: readonly Cell[] = [
  // `deno task test` adds the other drivers.
  { name: "Deno", representative: true, drivers: [POSTGRES_JS], program: () => denoProgram() },
  { name: "Node 20", representative: true, program: node(20) },
  { name: "Node 22", program: node(22) },
  { name: "Node 24", program: node(24) },
  { name: "Node 26", program: node(26) },
  {
    name: "Bun",
    representative: true,
    drivers: [...ALL_DRIVERS, BUN_SQL],
    program: bunProgram,
  },
  { name: "Drizzle 0.44", line: "0.44" as const, program: node(24) },
  { name: "Drizzle 1.0", representative: true, line: "1.0" as const, program: node(24) },
  {
    name: "Lowest drivers",
    install: lowest("@electric-sql/pglite", "pg", "postgres"),
    program: node(20),
  },
  ...["0.3.0", "0.4.0"].map((version) => ({
    name: `PGlite ${version}`,
    drivers: [PGLITE],
    install: { "@electric-sql/pglite": version },
    program: node(24),
  })),
  {
    // What a refusal leaves in its buffer reached the next query.
    name: "pg-protocol 1.10.3",
    drivers: [NODE_POSTGRES],
    install: { "pg": "8.16.3", "pg-protocol": "1.10.3" },
    program: node(24),
  },
].map(serverCell);

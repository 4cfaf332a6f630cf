/**
 * All targets of the matrix.
 *
 * @module
 */
import { DRIVERS } from "../lib/npm_manifest.ts";
import { denoTargets } from "./deno_from_source.ts";
import { edgeTarget } from "./edge.ts";
import { startHttpEndpoint, startWebSocketProxy } from "./neon_proxy.ts";
import { npmInstall } from "./npm_install.ts";
import { originalApplication } from "./original_application.ts";
import { startPgBouncer } from "./pgbouncer.ts";
import { bunProgram, denoProgram, nodeProgram } from "./programs.ts";
import { serverTarget } from "./server.ts";
import { subpathTargets } from "./subpaths.ts";
import type { Target } from "./target.ts";
import { typeTargets } from "./types.ts";

const THREE_DRIVERS = ["postgres.js", "node-postgres", "PGlite"] as const;
const PGLITE = "@electric-sql/pglite";
const NEON = "@neondatabase/serverless";

const node = (major: number) => ({
  name: `Node ${major}`,
  portable: true,
  program: () => nodeProgram(major),
  drivers: THREE_DRIVERS,
});

const runtimes: readonly Target[] = [
  serverTarget({
    name: "Deno",
    shows: "all suites on postgres.js, from source; `deno task test` adds the other drivers",
    // Nor does the everyday run need this one: `deno task test` has it.
    everyday: [],
    portable: true,
    program: () => denoProgram(),
    drivers: ["postgres.js"],
  }),
  serverTarget({ ...node(20), everyday: THREE_DRIVERS }),
  serverTarget(node(22)),
  serverTarget(node(24)),
  serverTarget(node(26)),
  serverTarget({
    name: "Bun",
    everyday: [...THREE_DRIVERS, "Bun SQL"],
    portable: true,
    program: bunProgram,
    drivers: [...THREE_DRIVERS, "Bun SQL"],
  }),
  edgeTarget("workerd with nodejs_compat", "workerd", true),
  edgeTarget("workerd", "workerd"),
  edgeTarget("Vercel Edge", "@edge-runtime/vm"),
];

const linesOfDrizzle: readonly Target[] = [
  serverTarget({ name: "Drizzle 0.44", drizzle: "0.44", drivers: THREE_DRIVERS }),
  serverTarget({
    name: "Drizzle 1.0",
    everyday: THREE_DRIVERS,
    drizzle: "1.0",
    drivers: THREE_DRIVERS,
  }),
];

const linesOfDrivers: readonly Target[] = [
  serverTarget({
    name: "Lowest drivers",
    program: () => nodeProgram(20),
    install: {
      [PGLITE]: DRIVERS[PGLITE].lowest,
      pg: DRIVERS.pg.lowest,
      postgres: DRIVERS.postgres.lowest,
    },
    drivers: THREE_DRIVERS,
  }),
  ...["0.3.0", "0.4.0"].map((version) =>
    serverTarget({
      name: `PGlite ${version}`,
      install: { [PGLITE]: version },
      drivers: ["PGlite"],
    })
  ),
  serverTarget({
    // What a refusal leaves in its buffer reached the next query.
    name: "pg-protocol 1.10.3",
    install: { pg: "8.16.3", "pg-protocol": "1.10.3" },
    drivers: ["node-postgres"],
  }),
  ...[undefined, DRIVERS[NEON].lowest].flatMap((lowest) => {
    const install = { [NEON]: lowest ?? `<${DRIVERS[NEON].below}` };
    const nameOf = (driver: string) => [driver, lowest].filter((part) => part).join(" ");
    return [
      serverTarget({
        name: nameOf("neon-serverless"),
        shows: "all suites, over a WebSocket proxy",
        install,
        drivers: ["neon-serverless"],
        between: startWebSocketProxy,
      }),
      serverTarget({
        name: nameOf("neon-http"),
        shows:
          "all suites and batches, over a local HTTP endpoint; transactions are refused by the driver",
        install,
        drivers: ["neon-http"],
        between: startHttpEndpoint,
      }),
    ];
  }),
  serverTarget({
    name: "PgBouncer",
    shows: "all suites on postgres.js through transaction pooling",
    drivers: ["postgres.js"],
    between: startPgBouncer,
  }),
];

export const targets: readonly Target[] = [
  ...runtimes,
  ...linesOfDrizzle,
  ...linesOfDrivers,
  ...denoTargets,
  ...typeTargets,
  npmInstall,
  originalApplication,
  ...subpathTargets,
];

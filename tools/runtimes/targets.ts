import { DRIVERS } from "../npm/manifest.ts";
import { denoTargets } from "./deno_from_source.ts";
import { edgeTarget } from "./edge.ts";
import { startHttpEndpoint, startWebSocketProxy } from "./neon_proxy.ts";
import { npmInstall } from "./npm_install.ts";
import { originalApplication } from "./original_application.ts";
import { startPgBouncer } from "./pgbouncer.ts";
import { bunProgram, denoProgram, nodeProgram } from "../npm/programs.ts";
import { type ServerTarget, serverTarget } from "./server.ts";
import type { Target } from "./target.ts";
import { typeTargets } from "./types.ts";

const THREE_DRIVERS = ["postgres.js", "node-postgres", "PGlite"] as const;
const PGLITE = "@electric-sql/pglite";
const NEON = "@neondatabase/serverless";

const node = (major: number): ServerTarget => ({
  name: `Node ${major}`,
  portable: true,
  program: () => nodeProgram(major),
  drivers: THREE_DRIVERS,
});

const servers: readonly ServerTarget[] = [
  { ...node(20), everyday: ["node-postgres"] },
  node(22),
  node(24),
  node(26),
  {
    name: "Bun",
    portable: true,
    program: bunProgram,
    drivers: [...THREE_DRIVERS, "Bun SQL"],
    everyday: ["Bun SQL"],
  },
  {
    name: "Deno, npm package",
    portable: true,
    program: () => denoProgram(),
    drivers: ["postgres.js"],
    everyday: ["postgres.js"],
  },
  { name: "Drizzle 0.44", drizzle: "0.44", drivers: THREE_DRIVERS },
  { name: "Drizzle 1.0", drizzle: "1.0", drivers: THREE_DRIVERS, everyday: THREE_DRIVERS },
];

const lowest = (...names: (keyof typeof DRIVERS)[]) =>
  Object.fromEntries(names.map((name) => [name, DRIVERS[name].lowest]));

const neon = (
  name: "neon-http" | "neon-serverless",
  version?: string,
  drizzle: ServerTarget["drizzle"] = "0.45",
): ServerTarget => ({
  name: [name, version ?? [], drizzle === "0.45" ? [] : `Drizzle ${drizzle}`].flat().join(" "),
  drizzle,
  shows: name === "neon-serverless"
    ? "all suites, over a WebSocket proxy"
    : "all suites and batches, over a local HTTP endpoint; transactions are refused by the driver",
  install: { [NEON]: version ?? `<${DRIVERS[NEON].below}` },
  drivers: [name],
  between: name === "neon-serverless" ? startWebSocketProxy : startHttpEndpoint,
});

const drivers: readonly ServerTarget[] = [
  {
    name: "Lowest drivers",
    program: () => nodeProgram(20),
    install: lowest(PGLITE, "pg", "postgres"),
    drivers: THREE_DRIVERS,
  },
  { name: "PGlite 0.3.0", install: { [PGLITE]: "0.3.0" }, drivers: ["PGlite"] },
  { name: "PGlite 0.4.0", install: { [PGLITE]: "0.4.0" }, drivers: ["PGlite"] },
  {
    // A refusal's leftovers in its buffer reached the next query.
    name: "pg-protocol 1.10.3",
    install: { pg: "8.16.3", "pg-protocol": "1.10.3" },
    drivers: ["node-postgres"],
  },
  neon("neon-serverless"),
  neon("neon-http"),
  neon("neon-http", undefined, "1.0"),
  neon("neon-serverless", DRIVERS[NEON].lowest),
  neon("neon-http", DRIVERS[NEON].lowest),
  {
    name: "PgBouncer",
    shows: "all suites on postgres.js through transaction pooling",
    drivers: ["postgres.js"],
    between: startPgBouncer,
  },
];

export const targets: readonly Target[] = [
  ...servers.map(serverTarget),
  edgeTarget("workerd with nodejs_compat", "workerd", true),
  edgeTarget("workerd", "workerd"),
  edgeTarget("Vercel Edge", "@edge-runtime/vm"),
  ...drivers.map(serverTarget),
  ...denoTargets,
  ...typeTargets,
  npmInstall,
  originalApplication,
];

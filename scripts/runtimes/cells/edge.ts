/**
 * Cells for the edge: workerd, with and without Node's modules, and Vercel's edge runtime.
 *
 * @module
 */
import { join, repository } from "../../lib/paths.ts";
import { bundle } from "../bundle.ts";
import type { Cell } from "../cell.ts";
import { type Lab, runners } from "../lab.ts";
import { installedVersion, toolProject } from "../npm_project.ts";
import { nodeProgram } from "../programs.ts";
import { runRunner } from "../run_program.ts";

interface EdgeCell {
  readonly name: string;
  readonly shows: string;
  readonly host: "workerd" | "edge-vm";
  /** Whether Node's modules are there, and with them TCP and a scrypt of its own. */
  readonly nodeModules: boolean;
}

/** Subpaths that are not meant for the edge. */
const NOT_AT_THE_EDGE = new Set(["./cli"]);

const NODE_FOR_EDGE = join(runners, "node_for_edge.ts");
const edge = (name: string) => join(runners, "edge", name);

async function bundleFor(lab: Lab, { host, nodeModules, name }: EdgeCell): Promise<string> {
  const { directory } = await lab.project("0.45");
  const { manifest } = await lab.package();
  const out = name.replaceAll(/\W+/g, "-");
  const outDir = lab.path("edge");
  await bundle({
    entries: { [out]: edge(host === "workerd" ? "worker.ts" : "vm.ts") },
    outDir,
    packages: { project: directory },
    format: host === "workerd" ? "esm" : "iife",
    conditions: host === "workerd" ? ["workerd", "worker"] : ["edge-light"],
    // Without them, nothing of Node may be left: the bundle could not be made.
    external: nodeModules ? ["cloudflare:*", "node:*"] : [],
    subpaths: Object.keys(manifest.exports).filter((subpath) => !NOT_AT_THE_EDGE.has(subpath)),
    replacements: {
      "node:assert": NODE_FOR_EDGE,
      "node:util": NODE_FOR_EDGE,
      ...!nodeModules && { [edge("database_cases.ts")]: edge("no_database_cases.ts") },
    },
  });
  return join(outDir, `${out}.js`);
}

function edgeCell(options: EdgeCell): Cell {
  const { name, shows, host, nodeModules } = options;
  let script: Promise<string> | undefined;
  const tools = () =>
    toolProject("edge", { miniflare: "4.20260721.0", "@edge-runtime/vm": "5.0.0" });
  const start = async (lab: Lab, job: Record<string, unknown>, writeTo?: string) => {
    const directory = await tools();
    // Beside the packages that it imports.
    const hostScript = join(directory, "host.mjs");
    await Deno.copyFile(join(repository, "tests/runtimes/host.mjs"), hostScript);
    return await runRunner(lab, {
      command: (await nodeProgram(24)).path,
      args: [hostScript],
      cwd: directory,
      env: {
        EDGE_JOB: JSON.stringify({
          host,
          script: await (script ??= bundleFor(lab, options)),
          compatibility: {
            compatibilityDate: "2026-01-01",
            ...nodeModules && { compatibilityFlags: ["nodejs_compat"] },
          },
          job: { writer: name, nativeScrypt: nodeModules, ...job },
          writeTo,
        }),
      },
    });
  };
  return {
    name,
    shows,
    representative: true,
    async run(lab) {
      const writeTo = lab.path(`${name.replaceAll(/\W+/g, "-")}.json`);
      const database = nodeModules
        ? { url: await lab.createDatabase(), exchangeUrl: lab.exchangeUrl }
        : {};
      const outcome = await start(lab, database, writeTo);
      const values = JSON.parse(await Deno.readTextFile(writeTo).catch(() => "null"));
      if (values !== null) lab.values[name] = values;
      if (nodeModules) lab.rows.push(name);
      const packageName = host === "workerd" ? "workerd" : "@edge-runtime/vm";
      const version = await installedVersion(await tools(), packageName);
      return { ...outcome, versions: `${packageName} ${version}` };
    },
    read: (lab) =>
      start(lab, {
        read: lab.values,
        ...nodeModules && { rows: lab.rows, exchangeUrl: lab.exchangeUrl },
      }),
  };
}

const PORTABLE = "imports, keys, stored form, webhooks with a storage in memory";

export const edgeCells: readonly Cell[] = [
  edgeCell({
    name: "workerd with nodejs_compat",
    shows: `${PORTABLE}; all database suites on postgres.js over TCP`,
    host: "workerd",
    nodeModules: true,
  }),
  edgeCell({ name: "workerd", shows: PORTABLE, host: "workerd", nodeModules: false }),
  edgeCell({ name: "Vercel Edge", shows: PORTABLE, host: "edge-vm", nodeModules: false }),
];

/**
 * Targets that run the suites at the edge: in workerd, with and without Node's modules, and in Vercel's
 * edge runtime.
 *
 * @module
 */
import { readManifest } from "../manifest.ts";
import { join, repository } from "../paths.ts";
import { bundle, WITHOUT_NODE } from "./bundle.ts";
import { installedVersion, toolProject } from "../npm/project.ts";
import { nodeProgram } from "../npm/programs.ts";
import { runTap } from "./run_tap.ts";
import type { Target } from "./target.ts";

const runners = join(repository, "tests/runtimes");

/**
 * Makes a target.
 *
 * @param host Package of the runtime.
 * @param nodeModules Whether Node's modules are there, and with them TCP and a scrypt of its own.
 */
export function edgeTarget(
  name: string,
  host: "workerd" | "@edge-runtime/vm",
  nodeModules = false,
): Target {
  const database = nodeModules ? "; all database suites on postgres.js over TCP" : "";
  return {
    name,
    shows: `imports, keys, stored form, webhooks with a storage in memory${database}`,
    everyday: true,
    async run(shared) {
      const packages = { miniflare: "4.20260721.0", "@edge-runtime/vm": "5.0.0" };
      const cwd = await toolProject("edge", packages);
      // Beside the packages that it imports.
      const hostScript = join(cwd, "edge_host.mjs");
      await shared.once(
        hostScript,
        () => Deno.copyFile(join(runners, "edge_host.mjs"), hostScript),
      );
      const outDir = shared.path(name.replaceAll(/\W+/g, "-"));
      await bundle({
        entries: { script: join(runners, nodeModules ? "run_worker.ts" : "run_edge.ts") },
        outDir,
        project: await shared.project("0.45"),
        format: host === "workerd" ? "esm" : "iife",
        conditions: host === "workerd" ? ["workerd", "worker"] : ["edge-light"],
        // Without them, nothing of Node may be left: the bundle could not be made.
        external: nodeModules ? ["cloudflare:*", "node:*"] : [],
        replacements: WITHOUT_NODE,
      });
      const { path } = await nodeProgram(24);
      const versions = `${host} ${await installedVersion(cwd, host)}`;
      return await runTap({ path, args: [hostScript], cwd, versions }, {
        host,
        script: join(outDir, "script.js"),
        compatibilityFlags: nodeModules ? ["nodejs_compat"] : [],
        nativeScrypt: nodeModules,
        // That of workerd fails for empty values, and is slower than its Web Crypto.
        nativeAes: false,
        subpaths: Object.keys((await readManifest()).exports)
          .filter((path) => path !== "./cli" && path !== "./mitthooks"),
        everyday: shared.everyday,
        url: await shared.database(),
      });
    },
  };
}

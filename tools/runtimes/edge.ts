/** Edge targets: workerd with and without Node's modules, and Vercel's edge runtime. */
import { readManifest } from "../manifest.ts";
import { join, repository } from "../paths.ts";
import { bundle, WITHOUT_NODE } from "./bundle.ts";
import { installedVersion, toolProject } from "../npm/project.ts";
import { nodeProgram } from "../npm/programs.ts";
import { runTap } from "./run_tap.ts";
import type { Target } from "./target.ts";

const runners = join(repository, "tests/runtimes");

/**
 * Creates a target.
 *
 * @param host The runtime's package.
 * @param nodeModules Whether it has Node's modules, and with them TCP and its own scrypt.
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
      // Next to its imported packages.
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
        // Without them, the bundle fails if it imports anything of Node.
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
        // workerd's AES fails for empty values, and is slower than its Web Crypto.
        nativeAes: false,
        subpaths: Object.keys((await readManifest()).exports)
          .filter((path) => path !== "./cli" && path !== "./mitthooks"),
        everyday: shared.everyday,
        url: await shared.database(),
      });
    },
  };
}

import { assertEquals, assertStringIncludes } from "@std/assert";
import * as esbuild from "esbuild";
import { toolProject } from "../tools/npm/project.ts";
import { liveThrough, readKey, simulateMstudio } from "./support/example.ts";
import { NpmExample } from "./support/npm_example.ts";
import { createDatabase } from "../tools/postgres/databases.ts";

/** Runs the Worker in workerd like `wrangler dev`, with `wrangler.json` and `.dev.vars`. */
const HOST = `
import { Miniflare } from "miniflare";
import { readFileSync } from "node:fs";
import process from "node:process";
import { parseEnv } from "node:util";
const [script, config, variables] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const { compatibility_date, compatibility_flags } = JSON.parse(config);
const worker = new Miniflare({
  modules: [{ type: "ESModule", path: "worker.js", contents: script }],
  compatibilityDate: compatibility_date,
  compatibilityFlags: compatibility_flags,
  bindings: parseEnv(variables),
  host: "127.0.0.1",
  port: 0,
});
console.log("Listening on http://localhost:" + (await worker.ready).port);
process.once("SIGTERM", async () => {
  await worker.dispose();
  process.exit(0);
});
`;

Deno.test("examples/cloudflare-workers runs in workerd", async () => {
  await using database = await createDatabase();
  await using simulated = await simulateMstudio(() => worker.url);
  await using example = await NpmExample.create("cloudflare-workers", {
    DATABASE_URL: database.url,
    MITTWALD_API_URL: simulated.apiUrl,
    // In practice, wrangler starts workerd.
  }, { file: ".dev.vars", without: ["wrangler"] });

  await esbuild.build({
    absWorkingDir: example.path,
    entryPoints: ["worker.ts"],
    outfile: `${example.path}/dist/worker.js`,
    bundle: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
  });
  await esbuild.stop();
  const tools = await toolProject("edge", {
    miniflare: "4.20260721.0",
    "@edge-runtime/vm": "5.0.0",
  });
  const host = `${tools}/example_host.mjs`;
  await Deno.writeTextFile(host, HOST);
  const serve = (file: string) => example.serve(host, "dist/worker.js", "wrangler.json", file);
  await using worker = await serve(".dev.vars");

  // Without the tables, mStudio must retry.
  const early = await fetch(`${worker.url}/health`);
  assertEquals([early.status, await early.json()], [503, { status: "unavailable" }]);
  const { mstudio } = simulated;
  const answer = await mstudio.deliverOnce(mstudio.event("ExtensionAddedToContext"));
  await answer.body?.cancel();
  assertEquals(answer.status, 503);
  assertStringIncludes(worker.output(), "the table does not exist, run the migrations first");
  await example.succeed("npm run db:migrate");
  const healthy = await fetch(`${worker.url}/health`);
  assertEquals([healthy.status, await healthy.json()], [200, { status: "ok" }]);
  await liveThrough(mstudio, database.url, await readKey(example.variables));

  // The page's backend.
  const ask = async (token?: string) => {
    const headers = new Headers(token === undefined ? {} : { "x-session-token": token });
    const response = await fetch(`${worker.url}/api/instance`, { headers });
    return [response.status, await response.json()];
  };
  const context = { id: "c-1", kind: "customer" } as const;
  const instance = await mstudio.addInstance({ context, variantKey: "pro" });
  const [status, shown] = await ask(await instance.sessionToken({ userId: "ada" }));
  assertEquals([status, shown.userId, shown.instance.id], [200, "ada", instance.id]);
  assertEquals([shown.instance.variantKey, "secret" in shown.instance], ["pro", false]);
  const foreign = await instance.sessionToken({ forge: { extensionId: "another" } });
  for (
    const [token, code] of [[undefined, "ERR_SESSION_MISSING"], [foreign, "ERR_WRONG_EXTENSION"]]
  ) {
    assertEquals((await ask(token))[1].code, code);
  }
  const elsewhere = await fetch(`${worker.url}/`);
  await elsewhere.body?.cancel();
  assertEquals(elsewhere.status, 404);
  assertStringIncludes(await example.curl(serve), '"variantKey":');
});

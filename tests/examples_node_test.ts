import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readKey, simulateMstudio } from "./support/example.ts";
import { NpmExample } from "./support/npm_example.ts";
import { createDatabase, query } from "../tools/postgres/databases.ts";
import { freePort } from "../tools/free_port.ts";

const SERVER = ["--env-file=.env", "main.ts"];

Deno.test("examples/node-hono runs as in its README", async () => {
  await using database = await createDatabase();
  const apiPort = freePort();
  await using example = await NpmExample.create("node-hono", {
    DATABASE_URL: database.url,
    MITTWALD_API_URL: `http://localhost:${apiPort}`,
    PORT: "0",
  });

  // Without the migration, it reports that and ends.
  const early = await example.run("npm start");
  assert(early.code !== 0);
  assertStringIncludes(early.output, "the table does not exist, run the migrations first");
  await example.succeed("npm run db:migrate");

  await using server = await example.serve(...SERVER);
  const health = await fetch(`${server.url}/health`);
  await health.body?.cancel();
  assertEquals(health.status, 200);
  const tool = await example.launch(
    "node",
    `node_modules/.bin/mitthooks-drizzle mstudio --env-file .env --forge --keep --serve ${apiPort}
      --target ${server.url}/webhooks`.split(/\s+/),
    /Serving the API on http:\/\/localhost:(\d+)/,
    "SIGINT",
  );
  const { code, output } = await tool.stop();
  assertEquals(code, 0, output);
  assertMatch(output, /^forged +401 {2}ERR_SIGNATURE_INVALID/m);
  const rows = await query(database.url, "SELECT secret FROM extension_instance");
  assertEquals(rows.length, 1);
  assertMatch(await (await readKey(example.variables)).decrypt(String(rows[0]!["secret"])), /./);
  assertMatch(await example.succeed("npm run status"), /^ +secret +1 +0 +0 +0$/m);
  // The README's command, whose fixed port is not the one used here.
  const refused = await example.run("npm run mstudio -- --target http://localhost:1/");
  assert(refused.code !== 0);
  assertStringIncludes(refused.output, "Is the extension running");
  const stopped = await server.stop();
  assertStringIncludes(stopped.output, "200 · STORED · ExtensionAddedToContext");

  const wrong = await example.run("npm start", { ENCRYPTION_SALT: "another" });
  assert(wrong.code !== 0);
  assertStringIncludes(wrong.output, "another master password or salt");
});

Deno.test("examples/existing-schema: sites come and go with instances, and the secret gives a token", async () => {
  await using database = await createDatabase();
  await using simulated = await simulateMstudio(() => server.url);
  await using example = await NpmExample.create("existing-schema", {
    DATABASE_URL: database.url,
    MITTWALD_API_URL: simulated.apiUrl,
    PORT: "0",
  });
  await example.succeed("npm run db:migrate");
  await using server = await example.serve(...SERVER);
  const { mstudio } = simulated;
  const instance = await mstudio.addInstance(
    { context: { id: "p-1", kind: "project" } },
    { faults: { duplicate: true } },
  );
  const [site, ...others] = await query(database.url, "SELECT * FROM site");
  assertEquals([site!["instance_id"], site!["domain"]], [instance.id, "p-1.example"]);
  assertEquals(others, []);
  assertMatch(
    await (await readKey(example.variables)).decrypt(String(site!["api_token"])),
    /^[0-9a-f-]{36}$/,
  );
  const ask = async (token?: string) => {
    const headers = new Headers(token === undefined ? {} : { "x-session-token": token });
    const response = await fetch(`${server.url}/api/site`, { headers });
    return [response.status, await response.json()];
  };
  assertEquals(await ask(await instance.sessionToken()), [200, {
    domain: "p-1.example",
    hasApiToken: true,
    mittwaldAnswered: 200,
  }]);
  assertEquals(simulated.asked, [instance.id]);
  for (const token of [undefined, await mstudio.instance().sessionToken()]) {
    const [status, { code }] = await ask(token);
    assertEquals(
      [status, code],
      token ? [403, "ERR_UNKNOWN_INSTANCE"] : [401, "ERR_SESSION_MISSING"],
    );
  }
  await instance.remove();
  assertEquals(await query(database.url, "SELECT * FROM site"), []);
  assertEquals(
    await query(database.url, "SELECT kind, domain FROM task"),
    [{ kind: "delete site", domain: "p-1.example" }],
  );
  const shown = await example.curl((file) => example.serve(`--env-file=${file}`, "main.ts"));
  assertStringIncludes(shown, '"mittwaldAnswered":200');
});

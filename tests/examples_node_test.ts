import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import postgres from "postgres";
import { buildEncryptionKey } from "../mod.ts";
import { SimulatedMstudio } from "../testing/mod.ts";
import { freePort, NpmExample } from "./support/npm_example.ts";
import { createDatabase } from "./support/postgres.ts";

const COMMANDS = [
  "npm install",
  "npm run keygen",
  "npm run db:migrate",
  "npm start",
  "npm run mstudio",
];

/** The key that the example's file of variables describes. */
async function keyIn(example: NpmExample, file: string) {
  const text = await Deno.readTextFile(`${example.path}/${file}`);
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(text)![1]!;
  return buildEncryptionKey(value("ENCRYPTION_MASTER_PASSWORD"), value("ENCRYPTION_SALT"));
}

Deno.test("examples/node-hono runs as its README says", async () => {
  await using database = await createDatabase();
  await using example = await NpmExample.create("node-hono");
  assertEquals(example.commands, COMMANDS);
  const [, keygen, migrate, , mstudio] = example.commands as [
    string,
    string,
    string,
    string,
    string,
  ];
  const apiPort = freePort();
  await example.configure(".env", {
    DATABASE_URL: database.url,
    MITTWALD_API_URL: `http://localhost:${apiPort}`,
    PORT: "0",
  });
  const made = await example.run(keygen);
  assertEquals(made.code, 0, made.output);

  // Forgotten the migration: it says so and ends.
  const early = await example.run("npm start");
  assert(early.code !== 0);
  assertStringIncludes(early.output, "the table does not exist, run the migrations first");
  const generated = await example.run("npm run db:generate");
  assertStringIncludes(generated.output, "No schema changes");
  const migrated = await example.run(migrate);
  assertEquals(migrated.code, 0, migrated.output);

  const sql = postgres(database.url, { max: 1 });
  try {
    await using server = await example.serve(["--env-file=.env", "main.ts"]);
    assertEquals((await fetch(`${server.url}/health`)).status, 200);
    const tool = await example.start(
      `node node_modules/.bin/mitthooks-drizzle mstudio --env-file .env --forge --keep --serve ${apiPort}
        --target ${server.url}/webhooks`.split(/\s+/),
      /Serving the API on http:\/\/localhost:(\d+)/,
      "SIGINT",
    );
    const { code, output } = await tool.stop();
    assertEquals(code, 0, output);
    assertMatch(output, /^forged +401 {2}ERR_SIGNATURE_INVALID/m);
    const rows = await sql`SELECT secret FROM extension_instance`;
    assertEquals(rows.length, 1);
    assertMatch(await (await keyIn(example, ".env")).decrypt(rows[0]!["secret"]), /./);
    const status = await example.run("npm run status");
    assertEquals(status.code, 0, status.output);
    assertMatch(status.output, /^ +secret +1 +0 +0 +0$/m);
    // The command as the README has it: the fixed port is not the one that is asked here.
    const refused = await example.run(
      mstudio.replace("mstudio", "mstudio -- --target http://localhost:1/"),
    );
    assert(refused.code !== 0);
    assertStringIncludes(refused.output, "Is the extension running");
    const stopped = await server.stop();
    assertStringIncludes(stopped.output, "200 · STORED · ExtensionAddedToContext");
  } finally {
    await sql.end();
  }

  const wrong = await example.run("npm start", { ENCRYPTION_SALT: "another" });
  assert(wrong.code !== 0);
  assertStringIncludes(wrong.output, "another master password or salt");
});

Deno.test("examples/existing-schema: sites come and go with instances, and the secret gives a token", async () => {
  await using database = await createDatabase();
  await using example = await NpmExample.create("existing-schema");
  assertEquals(example.commands, COMMANDS);
  const asked: string[] = [];
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    target: (request) => fetch(new Request(`${server.url}/webhooks`, request)),
    newSecretRefusedMs: 0,
  });
  await using api = Deno.serve({ port: 0, onListen() {} }, (request) => {
    const id = /^\/v2\/extension-instances\/([^/]+)$/.exec(new URL(request.url).pathname)?.[1];
    if (id === undefined) return mstudio.api(request);
    asked.push(id);
    const known = mstudio.instanceOfToken(request.headers.get("x-access-token") ?? "");
    return Response.json({ id }, { status: known === id ? 200 : 401 });
  });
  await example.configure(".env", {
    DATABASE_URL: database.url,
    MITTWALD_API_URL: `http://localhost:${api.addr.port}`,
    PORT: "0",
  });
  for (const line of [example.commands[1]!, example.commands[2]!]) {
    const { code, output } = await example.run(line);
    assertEquals(code, 0, output);
  }
  const generated = await example.run("npm run db:generate");
  assertStringIncludes(generated.output, "No schema changes");
  await using server = await example.serve(["--env-file=.env", "main.ts"]);
  const sql = postgres(database.url, { max: 1 });
  try {
    const instance = await mstudio.addInstance(
      { context: { id: "p-1", kind: "project" } },
      { faults: { duplicate: true } },
    );
    const sites = await sql`SELECT * FROM site`;
    assertEquals(sites.map((row) => [row["instance_id"], row["domain"]]), [[
      instance.id,
      "p-1.example",
    ]]);
    assertMatch(
      await (await keyIn(example, ".env")).decrypt(sites[0]!["api_token"]),
      /^[0-9a-f-]{36}$/,
    );
    const response = await fetch(`${server.url}/instances/${instance.id}`);
    assertEquals(await response.json(), {
      domain: "p-1.example",
      hasApiToken: true,
      mittwaldAnswered: 200,
    });
    assertEquals(asked, [instance.id]);
    const unknown = await fetch(`${server.url}/instances/unknown`);
    assertEquals([unknown.status, await unknown.json()], [404, { message: "No such instance" }]);
    await instance.remove();
    assertEquals([...await sql`SELECT * FROM site`], []);
    assertEquals((await sql`SELECT kind, domain FROM task`).map((row) => ({ ...row })), [
      { kind: "delete site", domain: "p-1.example" },
    ]);
  } finally {
    await sql.end();
  }
});

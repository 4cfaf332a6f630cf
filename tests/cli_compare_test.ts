import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { stripVTControlCharacters } from "node:util";
import type { SimulatedInstance } from "../testing/mod.ts";
import { EXTENSION_ID, type Fault, setUp, takes } from "./recovery/support.ts";
import { createFolder, runCommand, runOnTerminal, startCommand } from "./support/cli.ts";
import { poll } from "../tools/postgres/databases.ts";

const SCHEMA = new URL("./fixtures/cli/schema.ts", import.meta.url).pathname;
const KEYS = { ENCRYPTION_MASTER_PASSWORD: "master password", ENCRYPTION_SALT: "salt" };

/** A world with its API over HTTP, and the environment of the command. */
async function openWorld() {
  const world = await setUp();
  let fault: Fault = () => undefined;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const answer = () => Promise.resolve(world.mstudio.api(request.clone()));
    return await fault(request, answer) ?? await answer();
  });
  const env = {
    ...KEYS,
    DATABASE_URL: world.database.url,
    EXTENSION_ID,
    MITTWALD_API_TOKEN: world.mstudio.apiToken,
    MITTWALD_API_URL: `http://127.0.0.1:${server.addr.port}`,
  };
  const command = (line: string) => `compare --schema ${SCHEMA} ${line}`.trim();
  const run = async (line = "", changes: Record<string, string> = {}) => {
    const result = await runCommand(command(line).split(" "), { env: { ...env, ...changes } });
    const told = result.stdout + result.stderr;
    assert(!told.includes(env.MITTWALD_API_TOKEN));
    return result;
  };
  return {
    ...world,
    env,
    command,
    run,
    failApi: (other: Fault) => fault = other,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await world[Symbol.asyncDispose]();
    },
  };
}

type World = Awaited<ReturnType<typeof openWorld>>;

async function spoil(world: World) {
  const [gone, changed, secretless] = await world.addInstances(3) as [
    SimulatedInstance,
    SimulatedInstance,
    SimulatedInstance,
  ];
  world.serve(takes);
  const missing = world.mstudio.instance({
    context: { id: "p-1", kind: "project" },
    variantKey: "a\x1b[2J\u202e",
    consentedScopes: ["b", "a"],
  });
  await missing.add();
  await gone.remove();
  await changed.update({ enabled: false, consentedScopes: ["x", "y"] });
  world.serve();
  await world.sql`UPDATE extension_instance SET secret = NULL WHERE id = ${secretless.id}`;
  return { gone, changed, secretless, missing };
}

Deno.test("compare: nothing to do", async () => {
  await using world = await openWorld();
  await world.addInstances(2);
  assertEquals(await world.run("--check-secrets"), {
    code: 0,
    stdout: "2 instances in mStudio, 2 in the table\n\nThe table matches mStudio\n",
    stderr: "",
  });
});

Deno.test("compare: differences are listed, nothing is changed; --repair --yes repairs them", async () => {
  await using world = await openWorld();
  const { gone, changed, secretless, missing } = await spoil(world);
  const before = await world.rows();
  const { code, stdout, stderr } = await world.run();
  assertEquals([code, stderr], [1, ""]);
  assertStringIncludes(stdout, "3 instances in mStudio, 3 in the table\n");
  assertStringIncludes(
    stdout,
    `\n1 missing in the table\n  ${missing.id}  project p-1, enabled, variant a\\u{1b}[2J\\u{202e}, scopes a b\n`,
  );
  assertMatch(stdout, new RegExp(`\n1 gone in mStudio\n  ${gone.id}  \\w+ \\S+, enabled, `));
  assertMatch(
    stdout,
    new RegExp(
      `\n1 different: in the table → in mStudio\n  ${changed.id}  enabled → disabled, no scopes → scopes x y\n`,
    ),
  );
  assertStringIncludes(stdout, `\n1 without a working secret\n  ${secretless.id}  missing\n`);

  const json = await world.run("--json");
  assertEquals([json.code, json.stderr], [1, ""]);
  const found = JSON.parse(json.stdout);
  assertEquals(found.missing[0].mstudio.variantKey, missing.variantKey);
  assertEquals([found.gone[0].id, found.different[0].id], [gone.id, changed.id]);
  assertEquals(await world.rows(), before);

  const asking = await world.run("--repair");
  assertEquals(asking.code, 2);
  assertStringIncludes(
    asking.stderr,
    "--repair asks for confirmation; give --yes if nobody can answer",
  );
  assertEquals(await world.rows(), before);

  const repaired = await world.run("--repair --yes");
  assertEquals([repaired.code, repaired.stderr], [0, ""]);
  assert(repaired.stdout.endsWith("\n1 inserted, 1 updated, 1 removed, 2 new secrets\nRepaired\n"));
  for (const { id, secret } of [changed, secretless, missing]) {
    assertEquals((await world.storage.getExtension(id))?.secret, secret);
    assert(!repaired.stdout.includes(secret));
  }
  assertEquals((await world.run("--check-secrets")).code, 0);
});

Deno.test("compare --repair on a terminal: a bar, and a question", async () => {
  await using world = await openWorld();
  await world.addInstances(120);
  await world.sql`UPDATE extension_instance SET active = false`;
  const ask = async (text: string) => {
    const answer = { to: 'Type "yes":', text };
    const { code, stdout } = await runOnTerminal(world.command("--repair"), world.env, 100, answer);
    return { code, stdout: stripVTControlCharacters(stdout) };
  };
  const no = await ask("no\n");
  assertEquals(no.code, 1);
  assertStringIncludes(no.stdout, "  and 20 more");
  assertMatch(no.stdout, /mStudio █+ +100 % {2}120 of 120 instances/);
  assertEquals((await world.rows()).some(({ active }) => active), false);
  const yes = await ask("yes\n");
  assertEquals(yes.code, 0, yes.stdout);
  assertStringIncludes(yes.stdout, "0 inserted, 120 updated, 0 removed, 0 new secrets");
  assertEquals((await world.rows()).every(({ active }) => active), true);
});

Deno.test("compare --repair --yes --json prints what was done", async () => {
  await using world = await openWorld();
  await world.addInstances(1);
  await world.sql`UPDATE extension_instance SET active = false`;
  const { code, stdout } = await world.run("--repair --yes --json");
  const { different, repair } = JSON.parse(stdout);
  assertEquals([code, different.length, repair.updated, repair.failed], [0, 1, 1, []]);
});

Deno.test("compare: a failed comparison has status 2, and nothing is changed", async (t) => {
  await using world = await openWorld();
  await world.addInstances(2);
  await world.sql`UPDATE extension_instance SET active = false`;
  const before = await world.rows();
  const cases: Record<string, [line: string, found: string, env?: Record<string, string>]> = {
    "no token": ["", "set MITTWALD_API_TOKEN", { MITTWALD_API_TOKEN: "" }],
    "no extension": ["", "set EXTENSION_ID, or give --extension-id", { EXTENSION_ID: "" }],
    "a wrong token": ["", "the API token is invalid\nCreate a token", { MITTWALD_API_TOKEN: "x" }],
    "a malformed token": ["", "it is missing or not a token", { MITTWALD_API_TOKEN: "a b" }],
    "another extension": ["--extension-id other", "mStudio has no extension with this id"],
    "another table": ["--table other", "--table names no such table of the schema"],
    "other keys": ["--repair --yes", "--repair: No value can be read with the available keys", {
      ENCRYPTION_SALT: "another",
    }],
  };
  for (const [what, [line, found, env]] of Object.entries(cases)) {
    await t.step(what, async () => {
      const { code, stderr } = await world.run(line, env);
      assertEquals(code, 2, stderr);
      assertStringIncludes(stderr, found);
      assertEquals(await world.rows(), before);
    });
  }
});

Deno.test("compare --repair: Ctrl-C stops it, another run finishes", async () => {
  await using world = await openWorld();
  await world.addInstances(8);
  await world.sql`UPDATE extension_instance SET secret = NULL, active = false WHERE id > '2'`;
  let rotations = 0;
  world.failApi((request) => void (request.method === "PUT" && rotations++));
  const command = startCommand(world.command("--repair --yes").split(" "), { env: world.env });
  await poll(() => rotations === 1);
  command.kill("SIGINT");
  const { code, stdout, stderr } = await command.ended;
  assertEquals(code, 130, stdout + stderr);
  assertStringIncludes(stderr, "Stopping; press Ctrl-C again to stop at once");
  assertStringIncludes(stdout, "Stopped early; run it again to continue\n");
  assertEquals((await world.run("--repair --yes")).code, 0);
  assertEquals((await world.run("--check-secrets")).code, 0);
});

/** The state before each recipe of the page. */
const RECIPES: Record<string, (world: World) => Promise<unknown>> = {
  "A restored backup": async (world) => {
    const [gone, rotated] = await world.addInstances(4) as [SimulatedInstance, SimulatedInstance];
    const backup = await world.sql`SELECT * FROM extension_instance`;
    const lastEvents = await world.sql`SELECT * FROM extension_instance_last_event`;
    await world.addInstances(2);
    await gone.remove();
    await rotated.rotateSecret();
    await world.sql`TRUNCATE extension_instance, extension_instance_last_event`;
    for (const row of backup) await world.sql`INSERT INTO extension_instance ${world.sql(row)}`;
    for (const row of lastEvents) {
      await world.sql`INSERT INTO extension_instance_last_event ${world.sql(row)}`;
    }
  },
  "A lost table": async (world) => {
    await world.addInstances(4);
    await world.sql`TRUNCATE extension_instance, extension_instance_last_event`;
  },
  "Halted deliveries": async (world) => {
    const [updated] = await world.addInstances(2) as [SimulatedInstance];
    world.serve(() => new Response(null, { status: 500 }));
    await updated.update({ enabled: false }).catch(() => {});
    world.serve();
  },
};

Deno.test("docs/recovery.md: after each recipe the table matches mStudio", async (t) => {
  const page = await Deno.readTextFile(new URL("../docs/recovery.md", import.meta.url));
  for (const [recipe, happens] of Object.entries(RECIPES)) {
    await t.step(recipe, async () => {
      await using world = await openWorld();
      await happens(world);
      await using folder = await createFolder({
        "schema.ts": `export * from "file://${SCHEMA}";`,
        ".env": Object.entries(world.env).map(([name, value]) => `${name}="${value}"\n`).join(""),
      });
      const [, section] = new RegExp(`^## ${recipe}\n([^]*?)^## `, "m").exec(page)!;
      const commands = section!.match(/(?<=^deno run -A jsr:@wais\/mitthooks-drizzle\/cli ).*$/gm)!;
      assert(commands.length > 1);
      for (const [index, command] of commands.entries()) {
        const repairs = command.endsWith("--repair");
        const args = [...command.split(" "), ...repairs ? ["--yes"] : []];
        const { code, stdout, stderr } = await runCommand(args, { cwd: folder.path });
        assertEquals(code, index === 0 && !repairs ? 1 : 0, stdout + stderr);
      }
      assertEquals((await world.compare({ checkSecrets: true })).equal, true);
    });
  }
});

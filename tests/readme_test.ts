/**
 * Runs the code of `docs/` and the README: their blocks, in the files named by their first lines,
 * form one application. `quickstart_test.ts` follows the README's quick start.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import postgres from "postgres";
import { fromFileUrl, join } from "../tools/paths.ts";
import { SimulatedMstudio } from "../testing/mod.ts";
import { commandsOf, filesAfter, filesOf, readPages } from "./support/documents.ts";
import { encryptionKey, extensionInstanceDdl, lastEventDdl } from "./support/extension_instance.ts";
import { createDatabase } from "../tools/postgres/databases.ts";
import { type Ended, Project } from "./support/project.ts";
import { SESSION_FIXTURES } from "./support/session_fixtures.ts";

const fixture = (name: string) => fromFileUrl(new URL(`fixtures/${name}`, import.meta.url));

const pages = await readPages();
const page = (path: string) => pages.find((page) => page.path === path)!;
const files = filesOf(pages);

/**
 * mittwald's reference extension after the documented change, with the files that the change does
 * not show.
 */
const referenceExtension = Object.fromEntries(
  page("docs/from-0.1.md").blocks.filter(({ language }) => language === "diff")
    .flatMap(({ code }) => Object.entries(filesAfter(code)))
    .map(([path, code]) => [`reference_extension/${path}`, code]),
);
const SCHEMA = "reference_extension/src/db/schema.ts";
referenceExtension[SCHEMA] = `import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
} from "@weissaufschwarz/mitthooks-drizzle/encryption";
import { getEnvironmentVariables } from "../env.ts";
const env = getEnvironmentVariables();
${referenceExtension[SCHEMA]}`;
const AUTH = "reference_extension/src/middleware/auth.ts";
referenceExtension[AUTH] = `import { MittwaldAPIV2Client } from "@mittwald/api-client";
import { createMiddleware } from "@tanstack/react-start";
declare function forwardSessionToken(next: unknown): unknown;
${referenceExtension[AUTH]}`;
Object.assign(referenceExtension, {
  "reference_extension/src/env.ts": `import process from "node:process";
export const getEnvironmentVariables = () => process.env as Record<
  | "ENCRYPTION_MASTER_PASSWORD"
  | "ENCRYPTION_SALT"
  | "EXTENSION_ID"
  | "EXTENSION_SECRET"
  | "DATABASE_URL",
  string
>;
`,
  "reference_extension/src/db/index.ts": `import { drizzle } from "drizzle-orm/node-postgres";
import { getEnvironmentVariables } from "../env.ts";
import * as schema from "./schema.ts";
export const getDatabase = () => drizzle(getEnvironmentVariables().DATABASE_URL, { schema });
`,
});

/** Programs that use the pages' code, and their output. */
const PROGRAMS: readonly [title: string, code: string, printed: string][] = [
  [
    "json_column.ts: an object is stored encrypted, under the key of raw_key.ts",
    `import { eq } from "drizzle-orm";
import { accounts, fromJson, toJson } from "./json_column.ts";
import { db } from "./storage.ts";
await db.insert(accounts).values({ id: "bob", login: toJson({ user: "bob", password: "p" }) });
const [row] = await db.select().from(accounts).where(eq(accounts.id, "bob"));
console.log(row?.login && fromJson(row.login).password);
const [stored] = await db.execute("SELECT login FROM account WHERE id = 'bob'");
console.log(String(stored?.login).split(":").length);
Deno.exit();
`,
    "p 3",
  ],
  ["custom_columns.ts runs", 'import "./custom_columns.ts"; Deno.exit();', ""],
  ["new_table.ts runs", 'import "./new_table.ts";', ""],
  [
    "reencryption.ts runs",
    'import "./reencryption.ts";',
    "{ total: 0, scanned: 0, reencrypted: 0, unreadable: [], notWritten: [], aborted: false } " +
    "{ token: { current: 0, otherKey: 0, unreadable: 0, null: 0 } }",
  ],
  [
    "forget_removed.ts counts what it forgets",
    'import { cleanUp } from "./forget_removed.ts"; await cleanUp(); Deno.exit();',
    "1 removed instances forgotten",
  ],
  [
    "changes.ts: the application's rows come and go with the instance",
    `import { sites, storage } from "./changes.ts";
import { db } from "./storage.ts";
const added = {
  extensionInstanceId: "with-a-site",
  contextId: "p-1",
  consentedScopes: [],
  secret: "secret",
};
await storage.upsertExtension(added);
await storage.upsertExtension(added);
console.log((await db.select().from(sites)).map(({ domain }) => domain));
await storage.removeInstance("with-a-site");
console.log(await db.$count(sites));
Deno.exit();
`,
    '[ "with-a-site.example" ] with-a-site goes, its rows are still there 0',
  ],
  [
    "the keys of each step of a change read what they are said to read",
    `import { keyOfStep1, keyOfStep2, keyOfStep4 } from "./rotating_key.ts";
const keys = [keyOfStep1, keyOfStep2, keyOfStep4];
const values = await Promise.all(keys.map((key) => key.encrypt("secret")));
const reads = await Promise.all(keys.map((key) =>
  Promise.all(values.map((value) => key.decrypt(value).then(() => 1, () => 0)))
));
console.log(reads.map((row) => row.join("")).join(" "));
`,
    "111 111 011",
  ],
  [
    "adopting.ts: the key reads plaintext and writes none",
    `import { keyStatus, reencrypt } from "@wais/mitthooks-drizzle/pg";
import { accounts } from "./adopting.ts";
import { db } from "./storage.ts";
const left = async () => (await keyStatus(db, accounts)).apiToken.otherKey;
console.log((await db.select().from(accounts))[0]?.apiToken, await left());
await reencrypt(db, accounts);
const [stored] = await db.execute("SELECT api_token FROM account WHERE id = 'ada'");
console.log(stored?.api_token === "t0k3n", await left());
Deno.exit();
`,
    "t0k3n 1 false 0",
  ],
];

/** Webhook handlers: module, export, and the status for forged webhooks. */
const HANDLERS = [
  ["webhooks.ts", "handleWebhook", 401],
  ["tanstack_start/routes/webhooks.ts", "Route", 401],
  ["next_js/app/webhooks/route.ts", "POST", 401],
  ["express.ts", "app", 401],
  ["node_http.ts", "server", 401],
  ["hono.ts", "app", 401],
  ["default_export.ts", "default", 401],
  ["worker.ts", "default", 401],
  ["reference_extension/src/routes/api/webhooks.mittwald.ts", "Route", 401],
  ["mitthooks.ts", "handle", 400],
] as const;

/** Prints the context of the reference extension's middleware for each session token, or the code. */
const MIDDLEWARE = `import { setRequest } from "@tanstack/react-start";
import { authenticationMiddlewareWithAccessToken } from "./${AUTH}";
for (const token of Deno.args) {
  setRequest(new Request("https://extension.example/", { headers: { "x-session-token": token } }));
  const shown = await authenticationMiddlewareWithAccessToken.server({
    next: ({ context }) => context as never,
  }).then(
    ({ userId, extensionInstanceId, accessToken }: Record<string, string>) =>
      [userId, extensionInstanceId, accessToken].join(),
    (error: { code: string }) => error.code,
  );
  console.log(shown);
}
Deno.exit();
`;

function assertSucceeded({ code, output }: Ended): string {
  assertEquals(code, 0, output);
  return output;
}

Deno.test("README and docs", async (t) => {
  await using database = await createDatabase();
  await using sql = Object.assign(postgres(database.url, { max: 1 }), {
    [Symbol.asyncDispose]: (): Promise<void> => sql.end(),
  });
  await sql.unsafe(`${extensionInstanceDdl}
    ${lastEventDdl}
    create table site (
      domain varchar(255) primary key,
      instance_id varchar(36) not null references extension_instance (id) on delete cascade
    );
    create table account (id text primary key, login text, api_token text);
    insert into account (id, api_token) values ('ada', 't0k3n');
    insert into extension_instance_last_event (instance_id, kind, created_at)
      values ('long-gone', 'InstanceRemovedFromContext', '2020-01-01')`);
  let url = "";
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    extensionSecret: "my-extension-secret",
    target: (request) => fetch(new Request(url, request)),
    maxAttempts: 1,
  });
  await using api = Deno.serve({ port: 0, onListen() {} }, mstudio.api);
  await using project = await Project.create(
    {
      ...files,
      ...referenceExtension,
      // Its API client gets the address as an option.
      "unprotected.ts": files["mitthooks.ts"]!
        .replace(/^ *\.without.*\n/m, "").replace(/^ *\.withWebhookHandlerPrefix.*\n/m, "")
        .replace(".build()", ".withMittwaldAPIURL(process.env.MITTWALD_API_URL!).build()"),
      "serve_handler.ts": await Deno.readTextFile(fixture("serve_handler.ts")),
    },
    {
      DATABASE_URL: database.url,
      ENCRYPTION_MASTER_PASSWORD: "master password",
      ENCRYPTION_SALT: "salt",
      ENCRYPTION_KEY: btoa("k".repeat(32)),
      NEW_ENCRYPTION_MASTER_PASSWORD: "new master password",
      NEW_ENCRYPTION_SALT: "new salt",
      EXTENSION_ID: "my-extension",
      EXTENSION_SECRET: "my-extension-secret",
      MITTWALD_API_URL: `http://localhost:${api.addr.port}`,
    },
    {
      "@/db": "./reference_extension/src/db/index.ts",
      "@/": "./reference_extension/src/",
      "@tanstack/react-router": import.meta.resolve("./fixtures/tanstack_router.ts"),
      ...SESSION_FIXTURES,
    },
  );
  const run = (...args: string[]) => project.deno("run", "-A", ...args);
  const preload = `--preload=${fixture("redirect_mittwald_api.ts")}`;
  /** Serves a page's code, with mittwald's API at the simulated one's address. */
  const serve = async (file: string, name: string, env = {}) => {
    const args = [preload, "serve_handler.ts", join(project.path, file), name];
    const server = await project.withEnv(env).serve("run", "-A", ...args);
    url = `${server.url}/webhooks`;
    return server;
  };
  const storedSecret = async (id: string) => {
    const [row] = await sql`select secret from extension_instance where id = ${id}`;
    return await encryptionKey.decrypt(row?.["secret"]);
  };
  const count = async () => (await sql`select from extension_instance`).length;

  await t.step("every block is typed correctly", async () => {
    assertSucceeded(await project.deno("check", "."));
  });

  for (const [title, code, printed] of PROGRAMS) {
    await t.step(title, async () => {
      await Deno.writeTextFile(join(project.path, "program.ts"), code);
      assertEquals(
        assertSucceeded(await run("program.ts")).trim().replaceAll(/\s+/g, " "),
        printed,
      );
    });
  }

  for (const file of ["own_table.ts", "keyed_hash.ts"]) {
    await t.step(`${file} prints the output in its comments`, async () => {
      const lines = assertSucceeded(await run(file)).trim().split("\n");
      const said = [...files[file]!.matchAll(/\); \/\/ (.*)$/gm)].map(([, text]) => text!);
      assertEquals(lines.length, said.length, lines.join("\n"));
      for (const [index, text] of said.entries()) {
        const pattern = text.split("…").map((part) => part.trim().replace(/[^\w\s]/g, "\\$&"));
        assertMatch(lines[index]!, new RegExp(`^${pattern.join(".*")}`));
      }
    });
  }

  for (const [file, name, refusal] of HANDLERS) {
    await t.step(`${name} of ${file} accepts webhooks, and refuses forged ones`, async () => {
      await using _server = await serve(file, name);
      const before = await count();
      const instance = await mstudio.addInstance();
      assertEquals(await storedSecret(instance.id), instance.secret);
      const event = mstudio.event("ExtensionAddedToContext");
      const forged = await mstudio.deliverOnce(event, { forge: true });
      await forged.body?.cancel();
      assertEquals([forged.status, await count()], [refusal, before + 1]);
    });
  }

  await t.step("the reference extension's middleware accepts its own sessions", async () => {
    await using _server = await serve("hono.ts", "app");
    const instance = await mstudio.addInstance();
    await Deno.writeTextFile(join(project.path, "program.ts"), MIDDLEWARE);
    const genuine = await instance.sessionToken({ userId: "ada" });
    const foreign = await instance.sessionToken({ forge: { extensionId: "another" } });
    const printed = assertSucceeded(await run(preload, "program.ts", genuine, foreign));
    const [shown, code] = printed.trim().split("\n");
    const [userId, instanceId, accessToken] = shown!.split(",");
    assertEquals([userId, instanceId, code], ["ada", instance.id, "ERR_WRONG_EXTENSION"]);
    assertEquals(mstudio.sessionOfToken(accessToken!)?.userId, "ada");
  });

  await t.step(
    "mitthooks 0.3.0 alone does not refuse forged webhooks, as the documentation says",
    async () => {
      await using server = await serve("unprotected.ts", "handle");
      const event = mstudio.event("ExtensionAddedToContext", { secret: "forged" });
      const forged = await mstudio.deliverOnce(event, { forge: true });
      assertEquals(forged.status, 200, await forged.text() + server.output());
      assertEquals(await storedSecret(event.id), "forged");
    },
  );

  await t.step("health.ts is healthy, but not with another salt", async () => {
    for (const [salt, status] of [["salt", 200], ["another", 503]] as const) {
      await using _server = await serve("health.ts", "health", { ENCRYPTION_SALT: salt });
      const response = await fetch(url);
      await response.body?.cancel();
      assertEquals(response.status, status);
    }
  });

  await t.step("verify.ts resolves for genuine webhooks", async () => {
    await using _server = await serve("verify.ts", "receive");
    const response = await mstudio.deliverOnce(mstudio.event("InstanceUpdated"));
    assertEquals(response.status, 204);
  });

  await t.step("its tests pass", async () => {
    const tests = Object.keys(files).filter((name) => name.endsWith("_test.ts"));
    assertStringIncludes(assertSucceeded(await project.deno("test", "-A", ...tests)), "3 passed");
  });
});

Deno.test("docs/changing-keys.md: from the old pair to the new one, with its keys and commands", async () => {
  const shown = commandsOf(page("docs/changing-keys.md"));
  const [deno, ...others] = [
    "deno run -A jsr:@wais/mitthooks-drizzle/cli ",
    "npx mitthooks-drizzle ",
  ]
    .concat("bunx mitthooks-drizzle ").map((runner) =>
      shown.filter((line) => line.startsWith(runner)).map((line) => line.slice(runner.length))
    ) as [string[], ...string[][]];
  for (const runner of others) assertEquals(runner, deno);
  assertEquals([shown.length, deno.length], [15, 5]);

  await using database = await createDatabase();
  const sql = postgres(database.url, { max: 1 });
  await sql.unsafe(extensionInstanceDdl + lastEventDdl);
  await sql.end();
  const schema = files["schema.ts"]!;
  await using project = await Project.create({
    "schema.ts": schema,
    "storage.ts": files["storage.ts"]!,
    "rotating_key.ts": files["rotating_key.ts"]!,
    ".env": `DATABASE_URL=${database.url}
ENCRYPTION_MASTER_PASSWORD="the old password"
ENCRYPTION_SALT="the old salt"
`,
    "app.ts": `import { extensionInstances } from "./schema.ts";
import { db, storage } from "./storage.ts";
const [id] = Deno.args as [string];
await storage.upsertExtension({
  extensionInstanceId: id,
  contextId: "p-1",
  consentedScopes: [],
  secret: "secret " + id,
});
console.log((await db.select().from(extensionInstances)).map(({ secret }) => secret).sort().join());
await db.$client.end();
`,
  });
  const rollOut = async (step: number) => {
    const key = `import { keyOfStep${step} as key } from "./rotating_key.ts";\n`;
    const changed = schema.replace(/^const \{ ENCRYPTION.*\n/m, "").replace(
      /^const key = .*\n/m,
      "",
    );
    await Deno.writeTextFile(join(project.path, "schema.ts"), key + changed);
  };
  const store = async (id: string) =>
    assertSucceeded(await project.deno("run", "-A", "--env-file=.env", "app.ts", id)).trim();
  const command = async (index: number) => {
    const args = deno[index]!.replace(/\s*#.*/, "").split(/\s+/);
    const cli = fixture("../../cli.ts");
    return assertSucceeded(await project.deno("run", "-A", "--config=deno.json", cli, ...args));
  };

  assertEquals(await store("0"), "secret 0");
  await command(0);
  await rollOut(1);
  assertEquals(await store("1"), "secret 0,secret 1");
  await rollOut(2);
  assertEquals(await store("2"), "secret 0,secret 1,secret 2");
  const left = "2 values are not under the current key";
  assertStringIncludes(await command(1), left);
  assertStringIncludes(await command(2), "2 values would be re-encrypted");
  assertStringIncludes(await command(3), "2 values re-encrypted");
  assertEquals((await command(4)).includes("not under the current key"), false);
  await rollOut(4);
  assertEquals(await store("4"), "secret 0,secret 1,secret 2,secret 4");
});

/**
 * The code of the README and of `docs/` runs: their blocks, put into the files that their first lines name, are one
 * application, and the README's quick start is followed in it.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import postgres from "postgres";
import * as encryption from "../pg/encryption.ts";
import { SimulatedMstudio } from "../testing/mod.ts";
import { fromFileUrl } from "../scripts/lib/paths.ts";
import {
  commandsOf,
  filesAfter,
  filesOf,
  quickStart,
  readPages,
  RUNTIMES,
} from "./support/documents.ts";
import { createDatabase } from "./support/postgres.ts";
import { type Ended, Project } from "./support/project.ts";

const fixture = (name: string) => fromFileUrl(new URL(`fixtures/${name}`, import.meta.url));
const CLI = fromFileUrl(new URL("../cli.ts", import.meta.url));
/** The imports of the schema are the application's. */
const WITH_CLI = ["--config=deno.json", CLI];
const PRELOAD = `--preload=${fixture("redirect_mittwald_api.ts")}`;

const pages = await readPages();
const page = (path: string) => pages.find((page) => page.path === path)!;
const readme = page("README.md");
const files = filesOf(pages);
// Until the key is there.
if (!("plaintext" in encryption)) delete files["adopting.ts"];

/** What the documentation says of mittwald's reference extension, after the change, with what the change does not show. */
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
Object.assign(referenceExtension, {
  "reference_extension/src/env.ts": `import process from "node:process";
export const getEnvironmentVariables = () => process.env as Record<
  "ENCRYPTION_MASTER_PASSWORD" | "ENCRYPTION_SALT" | "EXTENSION_ID" | "DATABASE_URL",
  string
>;
`,
  "reference_extension/src/db/index.ts": `import { drizzle } from "drizzle-orm/node-postgres";
import { getEnvironmentVariables } from "../env.ts";
import * as schema from "./schema.ts";
export const getDatabase = () => drizzle(getEnvironmentVariables().DATABASE_URL, { schema });
`,
});

/** Arguments of `deno` for a command of the quick start. */
function denoArguments(command: string): string[] {
  const [program, ...args] = command.split(/\s+/);
  assertEquals(program, "deno", command);
  return args.flatMap((arg) => arg === "jsr:@wais/mitthooks-drizzle/cli" ? WITH_CLI : [arg]);
}

function assertSucceeded({ code, output }: Ended): string {
  assertEquals(code, 0, output);
  return output;
}

Deno.test("README: the quick start has the same commands for each runtime", () => {
  const [node, bun, deno] = RUNTIMES.map((runtime) =>
    quickStart(readme, runtime)
      .filter((command) => !/^(echo|npm|bun add|deno add)\b/.test(command))
      .map((command) =>
        command
          .replace(/^(npx tsx --env-file=.env|bun|deno run -A --env-file) (?=\S+\.ts$)/, "run ")
          .replace(
            /^(npx|bunx|deno run -A) (jsr:@wais\/mitthooks-drizzle\/cli|mitthooks-drizzle)/,
            "we",
          )
          .replace(/^(npx |bunx |deno run -A npm:)drizzle-kit/, "drizzle-kit")
      )
  );
  assertEquals(node, deno);
  assertEquals(bun, deno);
  assertEquals(deno!.map((command) => command.split(" ").slice(0, 2).join(" ")), [
    "we keygen",
    "drizzle-kit generate",
    "drizzle-kit migrate",
    "run main.ts",
    "we mstudio",
  ]);
});

Deno.test("README: the quick start installs the same packages on each runtime", async () => {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const installed = RUNTIMES.map((runtime) =>
    quickStart(readme, runtime)
      .filter((command) => /^(npm install|bun add|deno add) /.test(command))
      .flatMap((command) => command.split(/\s+/).slice(2))
      .map((name) => name.replace(/^npm:/, "").replace(/(?<=.)@.*$/, ""))
      .filter((name) => name !== "tsx")
  );
  assertEquals(installed[0], installed[2]);
  assertEquals(installed[1], installed[2]);
  const [own, ...others] = installed[2]!;
  assertEquals(own, "@weissaufschwarz/mitthooks-drizzle");
  for (const name of others) assert(imports[name], `${name} is not tested with`);
});

Deno.test("README and docs", async (t) => {
  await using database = await createDatabase();
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    target: (request) => fetch(new Request(url, request)),
    maxAttempts: 1,
    newSecretRefusedMs: 0,
  });
  let url = "";
  await using api = Deno.serve({ port: 0, onListen() {} }, (request) => {
    if (!new URL(request.url).pathname.startsWith("/v2/projects/")) return mstudio.api(request);
    const token = request.headers.get("x-access-token");
    return new Response(null, { status: token && mstudio.instanceOfToken(token) ? 200 : 403 });
  });
  const apiUrl = `http://localhost:${api.addr.port}`;
  await using project = await Project.create(
    {
      ...files,
      ...referenceExtension,
      "serve_handler.ts": await Deno.readTextFile(fixture("serve_handler.ts")),
    },
    { MITTWALD_API_URL: apiUrl, PORT: "0" },
    {
      "@/db": "./reference_extension/src/db/index.ts",
      "@/": "./reference_extension/src/",
      "@tanstack/react-router": import.meta.resolve("./fixtures/tanstack_router.ts"),
    },
  );
  const commands = quickStart(readme, "Deno").filter((command) => command.startsWith("deno run"));
  const [keygen, ...rest] = commands.map(denoArguments);
  const migration = rest.filter((args) => args.includes("npm:drizzle-kit"));
  const main = rest.find((args) => args.includes("main.ts"))!;
  const simulated = rest.find((args) => args.includes("mstudio"))!;

  const env = async () => await Deno.readTextFile(`${project.path}/.env`);
  const variable = async (name: string) => {
    const [, value] = new RegExp(`^${name}=(.*)$`, "m").exec(await env())!;
    return value!;
  };
  const sql = postgres(database.url, { max: 1 });
  const storedSecret = async (id: string) => {
    const key = encryption.buildEncryptionKey(
      await variable("ENCRYPTION_MASTER_PASSWORD"),
      await variable("ENCRYPTION_SALT"),
    );
    return await key.decrypt(
      (await sql`select secret from extension_instance where id = ${id}`)[0]?.secret,
    );
  };
  const count = async () => Number((await sql`select count(*) from extension_instance`)[0]?.count);
  const run = (...args: string[]) => project.deno("run", "-A", "--env-file=.env", ...args);

  await t.step("every block is typed correctly", async () => {
    assertSucceeded(await project.deno("check", "."));
  });

  await t.step("step 0 makes .env", async () => {
    assertSucceeded(await project.deno(...keygen!));
    assertMatch(
      await env(),
      /^ENCRYPTION_MASTER_PASSWORD=\S{44}\nENCRYPTION_SALT=\S{24}\n$/,
    );
    const [ini, ...more] = readme.blocks.filter(({ language }) => language === "ini");
    assertEquals(more, []);
    const lines = ini!.code.replace(/^(DATABASE_URL)=.*$/m, `$1=${database.url}`);
    assertStringIncludes(lines, database.url);
    await Deno.writeTextFile(`${project.path}/.env`, lines, { append: true });
  });

  await t.step("step 2 creates the tables", async () => {
    assertEquals(migration.length, 2);
    for (const args of migration) assertSucceeded(await project.deno(...args));
    assertEquals(await count(), 0);
  });

  await t.step("step 3 stores what mStudio delivers, and refuses what is forged", async () => {
    await using server = await project.serve(...main);
    url = server.url;
    const instance = await mstudio.addInstance({
      context: { id: "p-abc123", kind: "project" },
      secret: "a secret of 25 characters",
    });
    assertEquals(await storedSecret(instance.id), "a secret of 25 characters");
    const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
    assertEquals(forged.status, 401);
    assertEquals(await storedSecret(instance.id), "a secret of 25 characters");
    const { output } = await server.stop();
    assertStringIncludes(output, "200 · STORED · ExtensionAddedToContext");
    assert(!output.includes("secret of"), output);
  });

  await t.step("step 3 notices another salt before anything is stored", async () => {
    const { code, output } = await project.withEnv({ ENCRYPTION_SALT: "another" }).deno(...main);
    assertEquals(code, 1, output);
    assertStringIncludes(output, "another master password or salt");
  });

  await t.step("step 5 calls the API with an access token", async () => {
    const output = assertSucceeded(
      await project.deno(...main.map((arg) => arg === "main.ts" ? "call.ts" : arg)),
    );
    assertEquals(output, "25 characters of secret, answered with 200\n");
  });

  const hasMstudio = (await project.deno("run", "-A", CLI, "mstudio", "--help")).code === 0;
  await t.step({
    name: "step 4 shows that all is well but the forgery, and step 5 finds the instance",
    ignore: !hasMstudio,
    async fn() {
      await sql`delete from extension_instance`;
      const port = freePort();
      const offline = project.withEnv({ MITTWALD_API_URL: `http://localhost:${port}` });
      await using server = await offline.serve(...main);
      const args = simulated.map((arg) =>
        arg === "8001" ? String(port) : arg.replace("http://localhost:8000", server.url)
      );
      assert(args.includes(String(port)) && args.some((arg) => arg.startsWith(server.url)));
      await using terminal = await offline.start(/\b401\b/, ...args);
      assertEquals(await count(), 1, terminal.output());
      const output = assertSucceeded(
        await offline.deno(...main.map((arg) => arg === "main.ts" ? "call.ts" : arg)),
      );
      assertMatch(output, /^\d+ characters of secret, answered with \d+\n$/);
    },
  });

  for (const file of ["own_table.ts", "keyed_hash.ts"]) {
    await t.step(`${file} prints what its comments say`, async () => {
      const lines = assertSucceeded(await run(file)).trim().split("\n");
      const said = [...files[file]!.matchAll(/\); \/\/ (.*)$/gm)].map(([, text]) => text!);
      assertEquals(lines.length, said.length, lines.join("\n"));
      for (const [index, text] of said.entries()) {
        const pattern = text.split("…").map((part) => part.trim().replace(/[^\w\s]/g, "\\$&"));
        assertMatch(lines[index]!, new RegExp(`^${pattern.join(".*")}`));
      }
    });
  }

  const emptyReport =
    "{ total: 0, scanned: 0, reencrypted: 0, unreadable: [], notWritten: [], aborted: false } " +
    "{ token: { current: 0, otherKey: 0, unreadable: 0, null: 0 } }";
  for (
    const [file, printed] of [
      ["keys.ts", "still readable"],
      ["custom_columns.ts", ""],
      ["new_table.ts", ""],
      ["reencryption.ts", emptyReport],
    ] as const
  ) {
    await t.step(`${file} runs`, async () => {
      const output = assertSucceeded(await run(file));
      assertEquals(output.trim().replace(/\s+/g, " "), printed);
    });
  }

  for (
    const [file, name, refusal, path = "/webhooks"] of [
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
    ] as const
  ) {
    await t.step(`${name} of ${file} takes webhooks, and refuses what is forged`, async () => {
      const module = `file://${project.path}/${file}`;
      const args = [PRELOAD, "serve_handler.ts", module, name];
      await using server = await project.serve("run", "-A", "--env-file=.env", ...args);
      url = `${server.url}${path}`;
      const before = await count();
      const instance = await mstudio.addInstance();
      assertEquals(await storedSecret(instance.id), instance.secret);
      const forged = await mstudio.deliverOnce(
        mstudio.event("ExtensionAddedToContext"),
        { forge: true },
      );
      await forged.body?.cancel();
      assertEquals([forged.status, await count()], [refusal, before + 1]);
    });
  }

  await t.step("health.ts is content, and with another salt is not", async () => {
    const module = `file://${project.path}/health.ts`;
    const args = ["run", "-A", "--env-file=.env", "serve_handler.ts", module, "health"];
    for (const [salt, status] of [[await variable("ENCRYPTION_SALT"), 200], ["another", 503]]) {
      await using server = await project.withEnv({ ENCRYPTION_SALT: String(salt) }).serve(...args);
      const response = await fetch(server.url);
      await response.body?.cancel();
      assertEquals(response.status, status);
    }
  });

  await t.step("verify.ts resolves for what is genuine", async () => {
    const module = `file://${project.path}/verify.ts`;
    const args = [PRELOAD, "serve_handler.ts", module, "receive"];
    await using server = await project.serve("run", "-A", "--env-file=.env", ...args);
    url = server.url;
    const response = await mstudio.deliverOnce(mstudio.event("InstanceUpdated"));
    assertEquals(response.status, 204);
  });

  await t.step("forget_removed.ts counts what it forgets", async () => {
    await sql`insert into extension_instance_last_event (instance_id, kind, created_at)
      values ('long-gone', 'InstanceRemovedFromContext', '2020-01-01')`;
    const code =
      'const { cleanUp } = await import("./forget_removed.ts"); await cleanUp(); Deno.exit()';
    await Deno.writeTextFile(`${project.path}/run_forget_removed.ts`, code);
    assertEquals(
      assertSucceeded(await run("run_forget_removed.ts")),
      "1 removed instances forgotten\n",
    );
  });

  await t.step("changes.ts: rows of one's own come and go with the instance", async () => {
    await sql`create table site (
      domain varchar(255) primary key,
      instance_id varchar(36) not null references extension_instance (id) on delete cascade
    )`;
    const code = `import { sites, storage } from "./changes.ts";
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
`;
    await Deno.writeTextFile(`${project.path}/run_changes.ts`, code);
    assertEquals(assertSucceeded(await run("run_changes.ts")).trim().split("\n"), [
      '[ "with-a-site.example" ]',
      "with-a-site goes, its rows are still there",
      "0",
    ]);
  });

  await t.step(
    "mitthooks 0.3.0 alone does not refuse forged webhooks, as the documentation says",
    async () => {
      const unprotected = files["mitthooks.ts"]!
        .replace(/^ *\.without.*\n/m, "").replace(/^ *\.withWebhookHandlerPrefix.*\n/m, "")
        // Its API client is no fetch: it gets the address as an option.
        .replace(
          /(\n *)\.build\(\)/,
          "$1.withMittwaldAPIURL(process.env.MITTWALD_API_URL!)$1.build()",
        );
      await Deno.writeTextFile(`${project.path}/unprotected.ts`, unprotected);
      const module = `file://${project.path}/unprotected.ts`;
      const args = ["serve_handler.ts", module, "handle"];
      await using server = await project.serve("run", "-A", "--env-file=.env", ...args);
      url = server.url;
      const event = mstudio.event("ExtensionAddedToContext", { secret: "forged" });
      const forged = await mstudio.deliverOnce(event, { forge: true });
      assertEquals(forged.status, 200, await forged.text() + server.output());
      assertEquals(await storedSecret(event.id), "forged");
    },
  );

  await t.step("the keys of each step of a change read what they are said to read", async () => {
    const code = `import { keyOfStep1, keyOfStep2, keyOfStep4 } from "./rotating_key.ts";
const keys = [keyOfStep1, keyOfStep2, keyOfStep4];
const values = await Promise.all(keys.map((key) => key.encrypt("secret")));
const reads = await Promise.all(keys.map((key) =>
  Promise.all(values.map((value) => key.decrypt(value).then(() => true, () => false)))
));
console.log(JSON.stringify(reads));
`;
    await Deno.writeTextFile(`${project.path}/run_rotating_key.ts`, code);
    const reads = JSON.parse(assertSucceeded(await run("run_rotating_key.ts")));
    assertEquals(reads, [[true, true, true], [true, true, true], [false, true, true]]);
  });

  await t.step({
    name: "adopting.ts: the key reads plaintext and writes none",
    ignore: files["adopting.ts"] === undefined,
    async fn() {
      const code = `import { getTableColumns } from "drizzle-orm";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { withEncryption } from "@weissaufschwarz/mitthooks-drizzle/pg";
import { keyStatus, reencrypt } from "@weissaufschwarz/mitthooks-drizzle/pg/reencryption";
import { accounts } from "./adopting.ts";
await using client = await PGlite.create();
await client.exec("CREATE TABLE account (id text PRIMARY KEY, api_token text)");
await client.exec("INSERT INTO account VALUES ('ada', 't0k3n')");
const db = withEncryption(drizzle(client));
const left = async () => (await keyStatus(db, accounts)).apiToken.otherKey;
console.log((await db.select().from(accounts))[0]?.apiToken, await left());
await reencrypt(db, accounts);
const { rows } = await client.query<{ api_token: string }>("SELECT api_token FROM account");
console.log(rows[0]?.api_token === "t0k3n", await left());
`;
      await Deno.writeTextFile(`${project.path}/run_adopting.ts`, code);
      assertEquals(assertSucceeded(await run("run_adopting.ts")), "t0k3n 1\nfalse 0\n");
    },
  });

  await t.step("the operator's command", async () => {
    const shown = commandsOf(page("docs/changing-keys.md"));
    assertEquals(shown.length, 4);
    for (const command of shown) {
      const args = command.replace(/^npx mitthooks-drizzle /, "").split(/\s+/);
      const { code, output } = await run(...WITH_CLI, ...args);
      // Nothing is left to be set.
      assertEquals(code, args[0] === "keygen" ? 1 : 0, command + output);
    }
  });

  await t.step("the tests that it shows pass", async () => {
    const tests = Object.keys(files).filter((name) => name.endsWith("_test.ts"));
    assertEquals(tests.length, 3);
    const output = assertSucceeded(
      await project.deno("test", "-A", "--env-file=.env", ...tests),
    );
    assertStringIncludes(output, "3 passed");
  });

  await sql.end();
});

/** A port that nobody listens on at the moment. */
function freePort(): number {
  using listener = Deno.listen({ port: 0 });
  return listener.addr.port;
}

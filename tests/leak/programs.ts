/** The example, the demo and the operator's command, as programs: what they print. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import postgres from "postgres";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { runCommand } from "../support/cli.ts";
import { createDatabase } from "../support/postgres.ts";
import { Project, readFolder } from "../support/project.ts";
import { MASTER_PASSWORD, SALT } from "../../scripts/demo/schema.ts";
import { CANARIES, CONTROL, type Evidence } from "./evidence.ts";
import type { WatchedPostgres } from "../support/watched_postgres.ts";

const { secret, rotatedSecret, masterPassword, otherMasterPassword, salt } = CANARIES;
const root = new URL("../..", import.meta.url);

/** The life of an instance in the example, with everything going wrong that can go wrong from outside. */
export async function runExample(evidence: Evidence, server: WatchedPostgres): Promise<void> {
  await using database = await createDatabase({ server: server.url });
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    target: (request) => fetch(new Request(`${running.url}/webhooks`, request)),
    maxAttempts: 1,
  });
  await using api = Deno.serve({ port: 0, onListen() {} }, mstudio.api);
  await using project = await Project.create(await readFolder("examples/deno-deploy"), {
    DATABASE_URL: database.url,
    ENCRYPTION_MASTER_PASSWORD: masterPassword,
    ENCRYPTION_SALT: salt,
    EXTENSION_ID: "my-extension",
    MITTWALD_API_URL: `http://localhost:${api.addr.port}`,
    PORT: "0",
  });
  const place = "output of the example";
  const wrong = project.withEnv({ ENCRYPTION_MASTER_PASSWORD: otherMasterPassword });
  const refuses = async (it: Project) => {
    const { code, output } = await it.deno("task", "start");
    assert(code !== 0, output);
    evidence.add(place, output);
  };
  await refuses(project); // The tables are missing.
  const migrated = await project.shell("deno task db:migrate");
  assertEquals(migrated.code, 0, migrated.output);
  evidence.add(place, migrated.output);
  const running = await project.serve("task", "start");
  const answers: string[] = [];
  try {
    const instance = await mstudio.addInstance({ id: CONTROL, secret });
    await instance.rotateSecret(rotatedSecret);
    await instance.update({ enabled: false });
    const health = await fetch(`${running.url}/health`);
    answers.push(await health.text());
    assertEquals(health.status, 200);
    await refuses(wrong);

    const sql = postgres(database.url, { max: 1 });
    await sql`alter table extension_instance add check (variant_key <> 'refused')`;
    await sql.end();
    for (
      const [event, options] of [
        [instance.event("SecretRotated"), { forge: true }],
        [instance.event("SecretRotated"), { tamper: true }],
        [instance.event("SecretRotated"), { createdAt: new Date(0) }],
        [mstudio.event("SecretRotated", { secret }), {}],
        [mstudio.event("ExtensionAddedToContext", { extensionId: "other", secret }), {}],
        [
          mstudio.event("ExtensionAddedToContext", {
            context: { id: CONTROL, kind: "project" },
            secret,
            variantKey: "refused",
          }),
          {},
        ],
      ] as const
    ) {
      const response = await mstudio.deliverOnce(event, options);
      answers.push(`${response.status} ${await response.text()}`);
    }
    assertStringIncludes(answers.at(-1)!, "ERR_STORAGE_FAILED");
    evidence.add("dump of the example's database", await server.dump(database.url));
  } finally {
    evidence.add(place, (await running.stop()).output);
  }
  evidence.add("answers of the example", CONTROL, ...answers);
}

/** What the demo must keep to itself: its own passwords everywhere, and in the server's log its secrets as well. */
export const DEMO = {
  passwords: { masterPassword: MASTER_PASSWORD, salt: SALT },
  secrets: ["first-secret-", "second-secret-", "only-for-me", "attacker"],
};

/** Runs the demo on the server. It shows what the application reads, so its own secrets stand in its output. */
export async function runDemo(server: WatchedPostgres): Promise<{ output: string; log: string }> {
  const before = (await server.log()).length;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "demo"],
    cwd: root,
    env: { NO_COLOR: "1", TEST_DATABASE_URL: server.url },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  assertEquals(code, 0, output);
  return { output, log: (await server.log()).slice(before) };
}

const SCHEMA = new URL("../fixtures/cli/schema.ts", import.meta.url).pathname;
const ARGUMENTS = ["--schema", SCHEMA];

/** The operator's command, well used and badly. */
export async function runCli(evidence: Evidence, url: string): Promise<void> {
  const folder = await Deno.makeTempDir();
  const withPassword = new URL(url);
  withPassword.password = CANARIES.databasePassword;
  const env = {
    DATABASE_URL: url,
    ENCRYPTION_MASTER_PASSWORD: masterPassword,
    ENCRYPTION_SALT: salt,
    OLD_MASTER_PASSWORD: otherMasterPassword,
  };
  const run = async (
    expected: number,
    args: readonly string[],
    changes: Record<string, string> = {},
  ) => {
    const { code, stdout, stderr } = await runCommand(args, { env: { ...env, ...changes } });
    assertEquals(code, expected, stdout + stderr);
    evidence.add("output of the command", stdout, stderr);
  };
  try {
    const file = `${folder}/.env`;
    await Deno.writeTextFile(
      file,
      `ENCRYPTION_MASTER_PASSWORD=${masterPassword}\nNOTE=${secret}\n`,
    );
    const schema = `${folder}/${CONTROL}.ts`;
    await Deno.writeTextFile(
      schema,
      `throw new Error("the schema module is broken");`,
    );
    // All at once: each spends its time on its start.
    await Promise.all([
      run(0, ["keygen", "--write", file]),
      run(1, ["keygen", "--write", `${folder}/${CONTROL}/.env`]),
      run(2, ["keygen", secret]),
      run(1, ["status", "--schema", schema]),
      run(1, ["status", ...ARGUMENTS], { DATABASE_URL: withPassword.href }),
      run(1, [
        "status",
        ...ARGUMENTS,
        "--database-url",
        withPassword.href.replace(/:\d+\//, ":port/"),
      ]),
      run(1, ["status", ...ARGUMENTS], { ENCRYPTION_SALT: "" }),
      run(2, ["reencrypt", ...ARGUMENTS, "--batch-size", secret]),
      run(2, ["reencrypt", `--password=${secret}`]),
    ]);
    // The tables of the schema module are not all there.
    await run(1, ["status", ...ARGUMENTS]);
    await run(1, ["reencrypt", ...ARGUMENTS]);
    const sql = postgres(url, { max: 1 });
    await sql`create schema tenant`;
    await sql`create table tenant.token
      ("ownerId" bigint, name text, "tokenValue" text, primary key ("ownerId", name))`;
    await sql`insert into tenant.token values (1, ${CONTROL}, 'damaged')`;
    await sql.end();
    await run(1, ["status", ...ARGUMENTS]);
    await run(1, ["reencrypt", ...ARGUMENTS]);
    const written = await Deno.readTextFile(file);
    assert(written.includes(masterPassword));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

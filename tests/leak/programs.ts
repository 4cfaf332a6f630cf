/** The example, the demo and the operator's command, as programs: what they print. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import postgres from "postgres";
import { MASTER_PASSWORD, SALT } from "../../scripts/demo/schema.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { runCommand } from "../support/cli.ts";
import { createDatabase } from "../support/postgres.ts";
import { Project, readFolder } from "../support/project.ts";
import type { WatchedPostgres } from "../support/watched_postgres.ts";
import { CANARIES, CONTROL, type Evidence } from "./evidence.ts";

const { secret, rotatedSecret, masterPassword, otherMasterPassword, salt } = CANARIES;

async function query(url: string, statements: string): Promise<void> {
  const sql = postgres(url, { max: 1 });
  await sql.unsafe(statements).finally(() => sql.end());
}

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
    await refuses(project.withEnv({ ENCRYPTION_MASTER_PASSWORD: otherMasterPassword }));

    await query(
      database.url,
      "alter table extension_instance add check (variant_key <> 'refused')",
    );
    const rotated = instance.event("SecretRotated");
    const added = (fields: Parameters<typeof mstudio.event>[1]) =>
      mstudio.event("ExtensionAddedToContext", { secret, ...fields });
    for (
      const [event, options] of [
        [rotated, { forge: true }],
        [rotated, { tamper: true }],
        [rotated, { createdAt: new Date(0) }],
        [mstudio.event("SecretRotated", { secret }), {}],
        [added({ extensionId: "other" }), {}],
        [added({ context: { id: CONTROL, kind: "project" }, variantKey: "refused" }), {}],
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

/** The demo shows what the application reads, but no password; PostgreSQL's log has none of its secrets. */
export async function runDemo(server: WatchedPostgres): Promise<void> {
  const before = (await server.log()).length;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "demo"],
    cwd: new URL("../..", import.meta.url),
    env: { NO_COLOR: "1", TEST_DATABASE_URL: server.url },
    stdin: "null",
  }).output();
  const [output, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(code, 0, `${output}${errors}`);
  const log = (await server.log()).slice(before);
  const found = (text: string, parts: string[]) => parts.filter((part) => text.includes(part));
  const passwords = [MASTER_PASSWORD, SALT];
  const secrets = ["first-secret-", "second-secret-", "only-for-me", "attacker"];
  assertEquals(found(`${output}${errors}`, passwords), []);
  assertEquals(found(log, [...passwords, ...secrets]), []);
  // It is the demo's log.
  assertEquals(found(log, ["c-4711", "extension_instance"]).length, 2);
}

/** The operator's command, well used and badly. */
export async function runCli(evidence: Evidence, url: string): Promise<void> {
  const folder = await Deno.makeTempDir();
  const [file, broken] = [`${folder}/.env`, `${folder}/${CONTROL}.ts`];
  const withPassword = new URL(url);
  withPassword.password = CANARIES.databasePassword;
  const { href } = withPassword;
  const run = async (expected: number, args: string[], changes: Record<string, string> = {}) => {
    const env = {
      DATABASE_URL: url,
      ENCRYPTION_MASTER_PASSWORD: masterPassword,
      ENCRYPTION_SALT: salt,
      OLD_MASTER_PASSWORD: otherMasterPassword,
      ...changes,
    };
    const { code, stdout, stderr } = await runCommand(args, { env });
    assertEquals(code, expected, stdout + stderr);
    evidence.add("output of the command", stdout, stderr);
  };
  const schema = ["--schema", new URL("../fixtures/cli/schema.ts", import.meta.url).pathname];
  const status = ["status", ...schema];
  const reencrypt = ["reencrypt", ...schema];
  try {
    await Deno.writeTextFile(
      file,
      `ENCRYPTION_MASTER_PASSWORD=${masterPassword}\nNOTE=${secret}\n`,
    );
    await Deno.writeTextFile(broken, `throw new Error("the schema module is broken");`);
    // All at once: each spends its time on its start.
    await Promise.all([
      run(0, ["keygen", "--write", file]),
      run(1, ["keygen", "--write", `${folder}/${CONTROL}/.env`]),
      run(2, ["keygen", secret]),
      run(1, ["status", "--schema", broken]),
      run(1, status, { DATABASE_URL: href }),
      run(1, [...status, "--database-url", href.replace(/:\d+\//, ":port/")]),
      run(1, status, { ENCRYPTION_SALT: "" }),
      run(2, [...reencrypt, "--batch-size", secret]),
      run(2, ["reencrypt", `--password=${secret}`]),
      // The tables of the schema module are not all there.
      run(1, status),
      run(1, reencrypt),
    ]);
    assertStringIncludes(await Deno.readTextFile(file), masterPassword);
    await query(
      url,
      `create schema tenant;
      create table tenant.token
        ("ownerId" bigint, name text, "tokenValue" text, primary key ("ownerId", name));
      insert into tenant.token values (1, '${CONTROL}', 'damaged')`,
    );
    await run(1, status);
    await run(1, reencrypt);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

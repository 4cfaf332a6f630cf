import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import postgres from "postgres";
import { buildEncryptionKey } from "../mod.ts";
import { SimulatedMstudio } from "../testing/mod.ts";
import { createDatabase } from "./support/postgres.ts";
import { Project, readBlocks, readFolder } from "./support/project.ts";

const FOLDER = "examples/deno-deploy";

Deno.test("examples/deno-deploy runs as its README says", async (t) => {
  await using database = await createDatabase();
  const mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    target: (request) => fetch(new Request(`${server.url}/webhooks`, request)),
    maxAttempts: 1,
  });
  await using api = Deno.serve({ port: 0, onListen() {} }, mstudio.api);
  await using project = await Project.create(await readFolder(FOLDER), {
    DATABASE_URL: database.url,
    EXTENSION_ID: "my-extension",
    MITTWALD_API_URL: `http://localhost:${api.addr.port}`,
    PORT: "0",
  });
  const commands = (await readBlocks(`${FOLDER}/README.md`))
    .filter(({ language }) => language === "sh")
    .flatMap(({ code }) => code.trim().split("\n"))
    .map((line) => line.replace(/ *#.*/, ""));
  assertEquals(commands, [
    "deno task keygen",
    "deno task db:migrate",
    "deno task start",
    "deno task mstudio",
  ]);

  await t.step("its files are typed correctly", async () => {
    const { code, output } = await project.deno("check", ".");
    assertEquals(code, 0, output);
  });

  await t.step("the migration is what drizzle-kit generates from the schema", async () => {
    const { code, output } = await project.shell("deno task db:generate");
    assertEquals(code, 0, output);
    assertStringIncludes(output, "No schema changes");
  });

  await t.step("without keys, and without tables, it says so and ends", async () => {
    const keyless = await project.shell(commands[2]!);
    assert(keyless.code !== 0);
    assertStringIncludes(keyless.output, "the table does not exist, run the migrations first");
    const migrated = await project.shell(commands[1]!);
    assertEquals(migrated.code, 0, migrated.output);
    const { code, output } = await project.shell(commands[2]!);
    assert(code !== 0);
    assertStringIncludes(output, "masterPassword is missing, salt is missing; the key was made at");
    const made = await project.shell(commands[0]!);
    assertEquals(made.code, 0, made.output);
  });

  await using server = await project.serve("task", "start");
  await t.step("it is healthy", async () => {
    const response = await fetch(`${server.url}/health`);
    assertEquals([response.status, await response.json()], [200, { status: "ok" }]);
  });

  const sql = postgres(database.url, { max: 1 });
  const row = async (id: string) =>
    (await sql`select * from extension_instance where id = ${id}`)[0];
  const env = await Deno.readTextFile(`${project.path}/.env`);
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(env)![1]!;
  const key = buildEncryptionKey(value("ENCRYPTION_MASTER_PASSWORD"), value("ENCRYPTION_SALT"));

  await t.step("an instance's life over HTTP", async () => {
    const instance = await mstudio.addInstance({ context: { id: "c-1", kind: "customer" } });
    const added = await row(instance.id);
    assertEquals([added?.contextId, added?.context, added?.note], ["c-1", "customer", null]);
    assertEquals(await key.decrypt(added?.secret), instance.secret);
    await instance.update({ enabled: false });
    assertEquals((await row(instance.id))?.active, false);
    await instance.rotateSecret();
    assertEquals(await key.decrypt((await row(instance.id))?.secret), instance.secret);
    const before = await row(instance.id);
    const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
    assertEquals([forged.status, (await forged.json()).code], [401, "ERR_SIGNATURE_INVALID"]);
    assertEquals(await row(instance.id), before);
    await instance.remove();
    assertEquals(await row(instance.id), undefined);
  });

  await t.step("with another master password it does not start, and says why", async () => {
    await mstudio.addInstance();
    const { code, output } = await project
      .withEnv({ ENCRYPTION_MASTER_PASSWORD: "another password" }).shell(commands[2]!);
    assert(code !== 0);
    assertStringIncludes(output, "another master password or salt");
  });

  await t.step("deno task mstudio delivers to it without any other service", async () => {
    await using local = await project.withEnv({ MITTWALD_API_URL: "http://localhost:8001" })
      .serve("task", "start");
    const { code, output } = await project
      .shell(`${commands[3]!} --keep --target ${local.url}/webhooks`);
    assertEquals(code, 0, output);
    assertStringIncludes(output, "4 of 4 answers as expected");
    const id = /^instance +(\S+)$/m.exec(output)![1]!;
    assertEquals((await row(id))?.consented_scopes, ["project:read"]);
  });

  await t.step("other paths are not found", async () => {
    const response = await fetch(`${server.url}/`);
    await response.body?.cancel();
    assertEquals(response.status, 404);
  });

  await t.step("it stops cleanly, and has printed no secret", async () => {
    const { output } = await server.stop();
    assert(!output.includes(value("ENCRYPTION_MASTER_PASSWORD")));
  });
  await sql.end();
  await mstudio.close();
});

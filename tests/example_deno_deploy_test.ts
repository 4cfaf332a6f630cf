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
    ENCRYPTION_MASTER_PASSWORD: "master password of the example",
    ENCRYPTION_SALT: "salt of the example",
    EXTENSION_ID: "my-extension",
    MITTWALD_API_URL: `http://localhost:${api.addr.port}`,
    PORT: "0",
  });
  const commands = (await readBlocks(`${FOLDER}/README.md`))
    .filter(({ language }) => language === "sh")
    .flatMap(({ code }) => code.trim().split("\n"));
  assertEquals(commands, ["deno task db:migrate", "deno task start", "deno task mstudio"]);

  await t.step("its files are typed correctly", async () => {
    const { code, output } = await project.deno("check", ".");
    assertEquals(code, 0, output);
  });

  await t.step("the migration is what drizzle-kit generates from the schema", async () => {
    const { code, output } = await project.shell("deno task db:generate");
    assertEquals(code, 0, output);
    assertStringIncludes(output, "No schema changes");
  });

  await using server = await project.serve("task", "start");

  await t.step(
    "without the table it is not healthy, and webhooks are to be sent again",
    async () => {
      const response = await fetch(`${server.url}/health`);
      assertEquals([response.status, await response.json()], [503, { status: "unavailable" }]);
      const answer = await mstudio.deliverOnce(mstudio.event("ExtensionAddedToContext"));
      assertEquals([answer.status, (await answer.json()).code], [500, "ERR_STORAGE_FAILED"]);
      assertStringIncludes(server.output(), "ERR_TABLE_MISSING");
    },
  );

  await t.step("deno task db:migrate creates it", async () => {
    const { code, output } = await project.shell(commands[0]!);
    assertEquals(code, 0, output);
    const response = await fetch(`${server.url}/health`);
    assertEquals([response.status, await response.json()], [200, { status: "ok" }]);
  });

  const sql = postgres(database.url, { max: 1 });
  const row = async (id: string) =>
    (await sql`select * from extension_instance where id = ${id}`)[0];
  const key = buildEncryptionKey("master password of the example", "salt of the example");

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

  await t.step("with another master password it is not healthy, and says why", async () => {
    await mstudio.addInstance();
    await using wrong = await project.withEnv({ ENCRYPTION_MASTER_PASSWORD: "another password" })
      .serve("task", "start");
    const response = await fetch(`${wrong.url}/health`);
    assertEquals([response.status, await response.json()], [503, { status: "unavailable" }]);
    assertStringIncludes(wrong.output(), "another master password or salt");
  });

  await t.step("deno task mstudio delivers to it without any other service", async () => {
    const port = String(freePort());
    await using local = await project.withEnv({ MITTWALD_API_URL: `http://localhost:${port}` })
      .serve("task", "start");
    const { code, output } = await project
      .withEnv({ MSTUDIO_PORT: port, WEBHOOK_URL: `${local.url}/webhooks` })
      .shell(commands[2]!);
    assertEquals(code, 0, output);
    const lines = output.split("\n").filter((line) => /^(added|updated|rotated|forged)/.test(line));
    assertEquals(lines.map((line) => line.split(" ")[0]), [
      "added",
      "updated",
      "rotated",
      "forged",
    ]);
    assertEquals(lines.at(-1), "forged   answered with 401");
    const id = lines[0]!.split(/ +/)[1]!;
    assertEquals((await row(id))?.consented_scopes, ["project:read"]);
  });

  await t.step("other paths are not found", async () => {
    const response = await fetch(`${server.url}/`);
    await response.body?.cancel();
    assertEquals(response.status, 404);
  });

  await t.step("it stops cleanly, and has printed no secret", async () => {
    const { output } = await server.stop();
    assert(!output.includes("master password"));
  });
  await sql.end();
  await mstudio.close();
});

/** A port that nobody listens on at the moment. */
function freePort(): number {
  using listener = Deno.listen({ port: 0 });
  return listener.addr.port;
}

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { liveThrough, readKey, simulateMstudio } from "./support/example.ts";
import { freePort } from "../tools/free_port.ts";
import { createDatabase, query } from "../tools/postgres/databases.ts";
import { Project, readCommands, readFolder, succeeded } from "./support/project.ts";

Deno.test("examples/deno-deploy runs as in its README", async (t) => {
  await using database = await createDatabase();
  await using simulated = await simulateMstudio(() => server.url);
  await using project = await Project.create(await readFolder("examples/deno-deploy"), {
    DATABASE_URL: database.url,
    EXTENSION_ID: "my-extension",
    MITTWALD_API_URL: simulated.apiUrl,
    PORT: "0",
  });
  const commands = await readCommands("deno-deploy");
  const [keygen, migrate, start, mstudio] = commands as [string, string, string, string];
  assertEquals(commands, [
    "deno task keygen",
    "deno task db:migrate",
    "deno task start",
    "deno task mstudio",
  ]);
  const refuses = async (it: Project, message: string) => {
    const { code, output } = await it.shell(start);
    assert(code !== 0);
    assertStringIncludes(output, message);
  };

  await t.step("its files are typed correctly", async () => {
    await succeeded(project.deno("check", "."));
  });

  await t.step("the migration is what drizzle-kit generates from the schema", async () => {
    const output = await succeeded(project.shell("deno task db:generate"));
    assertStringIncludes(output, "No schema changes");
  });

  await t.step("without keys or tables, it reports that and ends", async () => {
    await refuses(project, "the table does not exist, run the migrations first");
    await succeeded(project.shell(migrate));
    await refuses(project, "masterPassword is missing, salt is missing; the key was built at");
    await succeeded(project.shell(keygen));
  });

  await using server = await project.serve("task", "start");
  await t.step("it is healthy", async () => {
    const response = await fetch(`${server.url}/health`);
    assertEquals([response.status, await response.json()], [200, { status: "ok" }]);
  });

  await t.step("an instance's life over HTTP", async () => {
    await liveThrough(simulated.mstudio, database.url, await readKey(`${project.path}/.env`));
  });

  await t.step("with another master password, it does not start and reports why", async () => {
    await simulated.mstudio.addInstance();
    await refuses(
      project.withEnv({ ENCRYPTION_MASTER_PASSWORD: "another password" }),
      "another master password or salt",
    );
  });

  await t.step("deno task mstudio delivers to it without any other service", async () => {
    const own = project.withEnv({ MITTWALD_API_URL: `http://localhost:${freePort()}` });
    await using local = await own.serve("task", "start");
    const output = await succeeded(
      own.shell(`${mstudio} --keep --target ${local.url}/webhooks`),
    );
    assertStringIncludes(output, "4 of 4 answers as expected");
    const id = /^instance +(\S+)$/m.exec(output)![1]!;
    const [row] = await query(
      database.url,
      `select * from extension_instance where id = '${id}'`,
    );
    assertEquals([row?.["consented_scopes"], row?.["note"]], [["project:read"], null]);
  });

  await t.step("other paths are not found", async () => {
    const response = await fetch(`${server.url}/`);
    await response.body?.cancel();
    assertEquals(response.status, 404);
  });

  await t.step("it stops cleanly, and has printed no secret", async () => {
    const { output } = await server.stop();
    const env = await Deno.readTextFile(`${project.path}/.env`);
    const masterPassword = /^ENCRYPTION_MASTER_PASSWORD=(.*)$/m.exec(env)![1]!;
    assert(!output.includes(masterPassword));
  });
});

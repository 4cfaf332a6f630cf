import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { liveThrough, readKey, simulateMstudio } from "./support/example.ts";
import { NpmExample } from "./support/npm_example.ts";
import { createDatabase } from "../tools/postgres/databases.ts";

Deno.test("examples/tanstack-start is built, and runs in production as its README says", async (t) => {
  await using database = await createDatabase();
  await using simulated = await simulateMstudio(() => server.url);
  const { mstudio } = simulated;
  await using example = await NpmExample.create("tanstack-start", {
    DATABASE_URL: database.url,
    MITTWALD_API_URL: simulated.apiUrl,
    PORT: "0",
  });
  const { scripts } = JSON.parse(await Deno.readTextFile(`${example.path}/package.json`));

  await t.step("it is built, and typed correctly", async () => {
    await example.succeed("npm run build");
  });

  await t.step("without tables it says so and ends", async () => {
    const { code, output } = await example.run("npm start");
    assert(code !== 0);
    assertStringIncludes(output, "the table does not exist, run the migrations first");
    await example.succeed("npm run db:migrate");
  });

  await using server = await example.serve(
    ...scripts.start.replace(/^srvx/, "node_modules/srvx/bin/srvx.mjs").split(" "),
  );
  await t.step("an instance's life over HTTP", async () => {
    await liveThrough(mstudio, database.url, await readKey(example.variables));
  });

  await t.step("the page shows an instance that mittwald knows, and not its secret", async () => {
    const instance = await mstudio.addInstance({ context: { id: "c-1", kind: "customer" } });
    const response = await fetch(`${server.url}/instances/${instance.id}`);
    const page = await response.text();
    assertEquals(response.status, 200, page);
    // React puts comments between the pieces of a text.
    const text = page.replace(/<!-- -->/g, "");
    assertStringIncludes(text, "<h1>Instance of a customer</h1>");
    assertStringIncludes(text, "<p>Active; mittwald answered 200.</p>");
    assert(!page.includes(instance.secret), page);
    assertEquals(simulated.asked, [instance.id]);
    const script = /"(\/assets\/[^"]+\.js)"/.exec(page)![1];
    const asset = await fetch(`${server.url}${script}`);
    await asset.body?.cancel();
    assertEquals(asset.status, 200);
    const unknown = await fetch(`${server.url}/instances/unknown`);
    assertEquals(unknown.status, 404);
    assertStringIncludes(await unknown.text(), "No such instance");
  });

  await t.step("what is sent to browsers has nothing of the server in it", async () => {
    const files = `${example.path}/dist/client/assets`;
    let text = "";
    for await (const { name } of Deno.readDir(files)) {
      text += await Deno.readTextFile(`${files}/${name}`);
    }
    assertStringIncludes(text, "No such instance");
    for (const ours of ["extension_instance", "ENCRYPTION_SALT", "DATABASE_URL"]) {
      assert(!text.includes(ours), ours);
    }
  });

  await t.step("it stops cleanly", async () => {
    const { code, output } = await server.stop();
    assertEquals(code, 0, output);
    assertMatch(output, /200 · STORED · ExtensionAddedToContext/);
  });
});

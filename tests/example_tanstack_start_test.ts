import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { liveThrough, readKey, simulateMstudio } from "./support/example.ts";
import { NpmExample } from "./support/npm_example.ts";
import { createDatabase } from "../tools/postgres/databases.ts";

Deno.test("examples/tanstack-start is built, and runs in production as in its README", async (t) => {
  await using database = await createDatabase();
  await using simulated = await simulateMstudio(() => server.url);
  const { mstudio } = simulated;
  await using example = await NpmExample.create("tanstack-start", {
    DATABASE_URL: database.url,
    MITTWALD_API_URL: simulated.apiUrl,
    VITE_SESSION_TOKEN_URL: "http://localhost:1/built-into-the-page",
    PORT: "0",
  });
  const { scripts } = JSON.parse(await Deno.readTextFile(`${example.path}/package.json`));

  await t.step("it is built, and typed correctly", async () => {
    await example.succeed("npm run build");
  });

  await t.step("without tables, it reports that and ends", async () => {
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

  const assets = `${example.path}/dist/client/assets`;
  let sent = "";
  for await (const { name } of Deno.readDir(assets)) {
    sent += await Deno.readTextFile(`${assets}/${name}`);
  }
  const call = async (token?: string) => {
    const id = /\b[0-9a-f]{64}\b/.exec(sent)![0];
    const response = await fetch(`${server.url}/_serverFn/${id}`, {
      headers: {
        "x-tsr-serverfn": "true",
        "sec-fetch-site": "same-origin",
        ...token && { "x-session-token": token },
      },
    });
    return { status: response.status, text: await response.text() };
  };
  await t.step("the page's server function answers only users in mStudio", async () => {
    const context = { id: "c-1", kind: "customer" } as const;
    const instance = await mstudio.addInstance({ context, consentedScopes: ["customer:read"] });
    const answer = await call(await instance.sessionToken({ userId: "ada" }));
    assertEquals(answer.status, 200, answer.text);
    for (const shown of ["ada", instance.id, "customer:read"]) {
      assertStringIncludes(answer.text, shown);
    }
    assert(!answer.text.includes(instance.secret) && !answer.text.includes("secret"), answer.text);
    assertEquals(simulated.asked.sort(), [instance.id, "ada"].sort());

    const refused = [
      [undefined, 401, "ERR_SESSION_MISSING"],
      [await instance.sessionToken({ forge: true }), 401, "ERR_SESSION_INVALID"],
      [await instance.sessionToken({ expiresInMs: -60_000 }), 401, "ERR_SESSION_EXPIRED"],
      [await instance.sessionToken({ forge: { extensionId: "x" } }), 403, "ERR_WRONG_EXTENSION"],
      [await mstudio.instance().sessionToken(), 403, "ERR_UNKNOWN_INSTANCE"],
    ] as const;
    for (const [token, status, code] of refused) {
      const { status: found, text } = await call(token);
      assertEquals([found, JSON.parse(text).code], [status, code], text);
    }
    await instance.update({ enabled: false });
    const token = await instance.sessionToken();
    assertEquals(JSON.parse((await call(token)).text).code, "ERR_INSTANCE_INACTIVE");
  });

  await t.step("the page itself is public, and contains no data", async () => {
    const response = await fetch(server.url);
    const page = await response.text();
    assertEquals(response.status, 200, page);
    const script = /"(\/assets\/[^"]+\.js)"/.exec(page)![1];
    const asset = await fetch(`${server.url}${script}`);
    await asset.body?.cancel();
    assertEquals(asset.status, 200);
  });

  await t.step("files for browsers contain nothing of the server", () => {
    assertStringIncludes(sent, "This page belongs into mStudio");
    assertStringIncludes(sent, "http://localhost:1/built-into-the-page");
    for (
      const ours of ["extension_instance", "ENCRYPTION_SALT", "DATABASE_URL", "EXTENSION_SECRET"]
    ) {
      assert(!sent.includes(ours), ours);
    }
  });

  await t.step("it stops cleanly", async () => {
    const { code, output } = await server.stop();
    assertEquals(code, 0, output);
    assertMatch(output, /200 · STORED · ExtensionAddedToContext/);
  });
});

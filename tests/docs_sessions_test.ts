/** Runs the code of `docs/sessions.md` and `docs/tokens.md` against a simulated mStudio. */

import { assert, assertEquals } from "@std/assert";
import postgres from "postgres";
import { SimulatedMstudio } from "../testing/mod.ts";
import { createDatabase } from "../tools/postgres/databases.ts";
import { fromFileUrl, join } from "../tools/paths.ts";
import { filesOf, readPages } from "./support/documents.ts";
import { encryptionKey, extensionInstanceDdl, lastEventDdl } from "./support/extension_instance.ts";
import { Project } from "./support/project.ts";
import { SESSION_FIXTURES } from "./support/session_fixtures.ts";

const fixture = (name: string) => fromFileUrl(new URL(`fixtures/${name}`, import.meta.url));

/** Backends of a page: module and export. */
const BACKENDS = [
  ["next_js/app/api/instance/route.ts", "GET"],
  ["hono_session.ts", "app"],
  ["express_session.ts", "app"],
] as const;

const PROGRAMS = {
  "tanstack_start/session.ts": `
import { setRequest } from "@tanstack/react-start";
import { withSession } from "./tanstack_start/session.ts";
const sent = await withSession.client({ next: (options) => options });
console.log(JSON.stringify(sent));
for (const token of JSON.parse(Deno.args[0]!)) {
  setRequest(new Request("https://extension.example/", { headers: { "x-session-token": token } }));
  const shown = await withSession.server({ next: ({ context }) => context as never })
    .then(({ session }: { session: { userId: string } }) => session.userId)
    .catch((error: Response) => error.status);
  console.log(shown);
}
Deno.exit();
`,
  "as_user.ts": `
import { clientOfUser } from "./as_user.ts";
const [[token, extensionInstanceId]] = [JSON.parse(Deno.args[0]!)];
const headers = { "x-session-token": token };
const client = await clientOfUser(new Request("https://extension.example/", { headers }));
const { status } = await client.marketplace.extensionGetExtensionInstance({ extensionInstanceId });
console.log(status);
Deno.exit();
`,
  "as_instance.ts": `
import { clientOfInstance } from "./as_instance.ts";
const [extensionInstanceId] = JSON.parse(Deno.args[0]!);
const client = clientOfInstance(extensionInstanceId);
const ask = async () =>
  (await client.marketplace.extensionGetExtensionInstance({ extensionInstanceId })).status;
console.log(await ask());
for (const path of ["/refuse-known", "/refuse-all"]) {
  await fetch(Deno.env.get("MITTWALD_API_URL") + path);
  console.log(await ask());
}
Deno.exit();
`,
};

Deno.test("the code of docs/sessions.md and docs/tokens.md", async (t) => {
  await using database = await createDatabase();
  await using sql = Object.assign(postgres(database.url, { max: 1 }), {
    [Symbol.asyncDispose]: (): Promise<void> => sql.end(),
  });
  await sql.unsafe(extensionInstanceDdl + lastEventDdl);
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "my-extension",
    extensionSecret: "my-extension-secret",
    target: () => new Response(),
    newSecretRefusedMs: 0,
  });
  /** Access tokens that the API no longer accepts. */
  const refused = new Set<string>();
  const seen = new Set<string>();
  let refusesAll = false;
  await using api = Deno.serve({ port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/refuse-known") seen.forEach((token) => refused.add(token));
    if (pathname === "/refuse-all") refusesAll = true;
    const token = request.headers.get("x-access-token");
    if (token !== null) {
      seen.add(token);
      if (refusesAll || refused.has(token)) return new Response(null, { status: 401 });
    }
    return await mstudio.api(request);
  });
  await using project = await Project.create(
    {
      ...filesOf(await readPages()),
      "serve_handler.ts": await Deno.readTextFile(fixture("serve_handler.ts")),
    },
    {
      DATABASE_URL: database.url,
      ENCRYPTION_MASTER_PASSWORD: "master password",
      ENCRYPTION_SALT: "salt",
      EXTENSION_ID: "my-extension",
      EXTENSION_SECRET: "my-extension-secret",
      MITTWALD_API_URL: `http://localhost:${api.addr.port}`,
    },
    SESSION_FIXTURES,
  );
  const context = { id: "p-1", kind: "project" } as const;
  const instance = await mstudio.addInstance({ context });
  const secret = await encryptionKey.encrypt(instance.secret);
  await sql`insert into extension_instance (id, "contextId", active, consented_scopes, secret)
    values (${instance.id}, 'p-1', true, '{}', ${secret})`;
  const genuine = await instance.sessionToken({ userId: "ada" });
  const foreign = await instance.sessionToken({ forge: { extensionId: "another" } });

  for (const [file, name] of BACKENDS) {
    await t.step(`${name} of ${file} answers only users in mStudio`, async () => {
      const args = ["-A", "serve_handler.ts", join(project.path, file), name];
      await using server = await project.serve("run", ...args);
      const ask = async (token?: string) => {
        const headers = new Headers(token === undefined ? {} : { "x-session-token": token });
        const response = await fetch(`${server.url}/api/instance`, { headers });
        return [response.status, await response.text()] as const;
      };
      const [status, text] = await ask(genuine);
      assertEquals(status, 200, text);
      assert(text.includes(instance.id) && !text.includes("secret"), text);
      for (
        const [token, code] of [[undefined, "ERR_SESSION_MISSING"], [
          foreign,
          "ERR_WRONG_EXTENSION",
        ]]
      ) {
        const [status, text] = await ask(token);
        assertEquals([status, JSON.parse(text).code], [token ? 403 : 401, code]);
      }
    });
  }

  const run = async (file: keyof typeof PROGRAMS, ...args: string[]) => {
    await Deno.writeTextFile(join(project.path, "program.ts"), PROGRAMS[file]);
    const { code, output } = await project.deno("run", "-A", "program.ts", JSON.stringify(args));
    assertEquals(code, 0, output);
    return output.trim().split("\n");
  };
  await t.step("tanstack_start/session.ts sends the token, checks it, and refuses", async () => {
    assertEquals(await run("tanstack_start/session.ts", genuine, foreign, "none"), [
      '{"headers":{"x-session-token":"the token of mStudio"}}',
      "ada",
      "403",
      "401",
    ]);
  });
  await t.step("as_user.ts acts as the user", async () => {
    assertEquals(await run("as_user.ts", genuine, instance.id), ["200"]);
  });
  await t.step("as_instance.ts gets a new token once after a refusal", async () => {
    assertEquals(await run("as_instance.ts", instance.id), ["200", "200", "401"]);
  });
});

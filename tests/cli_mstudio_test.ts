import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createWebhookHandler, MittwaldPublicKeys } from "../mod.ts";
import { MstudioSessions } from "../sessions/mod.ts";
import { InstanceTokens } from "../tokens/mod.ts";
import { runCommand, startCommand } from "./support/cli.ts";
import { type MemoryRow, MemoryStorage } from "./support/memory_storage.ts";
import { poll } from "../tools/postgres/databases.ts";
import { freePort } from "../tools/free_port.ts";

let storage = new MemoryStorage();
const port = freePort();

function extension(apiPort: number, extensionId = "my-extension") {
  storage = new MemoryStorage();
  const publicKeys = new MittwaldPublicKeys({ apiUrl: `http://localhost:${apiPort}` });
  return createWebhookHandler({ storage, extensionId, publicKeys });
}

/** Serves in this process, and returns the arguments for it. */
function serve(handler: (request: Request) => Response | Promise<Response>) {
  const server = Deno.serve({ port: 0, onListen() {} }, handler);
  const target = `http://localhost:${server.addr.port}/webhooks`;
  return {
    args: ["mstudio", "--target", target, "--forge"],
    target,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("mstudio: an instance's life and a forgery, and it ends by itself", async () => {
  await using server = serve(extension(port, "another-extension"));
  const env = { EXTENSION_ID: "another-extension", MITTWALD_API_URL: `http://127.0.0.1:${port}/` };
  const { code, stdout, stderr } = await runCommand(server.args, { env });
  assertEquals([code, stderr], [0, ""], stdout);
  assertStringIncludes(stdout, `target     ${server.target}\n`);
  assertStringIncludes(stdout, `MITTWALD_API_URL=http://localhost:${port}\n`);
  assert(stdout.endsWith(`
added      200  STORED  Handling ExtensionAddedToContext: done
updated    200  STORED  Handling InstanceUpdated: done
rotated    200  STORED  Handling SecretRotated: done
forged     401  ERR_SIGNATURE_INVALID  Checking the signature of a webhook: it does not match the body
removed    200  STORED  Handling InstanceRemovedFromContext: done

5 of 5 answers as expected
`));
  assertEquals(storage.rows.size, 0);
});

/** Fetches a session token, its access token, and the session of that. */
async function assertServesSessions(port: number, id: string, printed: string): Promise<void> {
  const apiUrl = `http://localhost:${port}`;
  assertStringIncludes(printed, `Session token for its page: curl ${apiUrl}/session-token\n`);
  const url = `${apiUrl}/session-token?userId=ada&scopes=a,b`;
  const origins = [
    "http://localhost:3000",
    "https://evil.example",
    "http://localhost.evil.example",
  ];
  const allowed: (string | null)[] = [];
  let token = "";
  for (const origin of origins) {
    const response = await fetch(url, { headers: { origin } });
    allowed.push(response.headers.get("access-control-allow-origin"));
    token = await response.text();
  }
  assertEquals(allowed, [origins[0]!, null, null]);
  const sessions = new MstudioSessions({
    extensionId: "my-extension",
    extensionSecret: "my-extension-secret",
    storage,
    apiUrl,
  });
  const { userId, scopes, instance } = await sessions.verify(token);
  assertEquals([userId, scopes, instance.id], ["ada", ["a", "b"], id]);
  const { token: access } = await sessions.accessToken(token);
  const headers = { "x-access-token": access };
  const answer = await fetch(`${apiUrl}/v2/extension-instances/${id}`, { headers });
  assertEquals((await answer.json()).id, id);
}

for (const keep of [false, true]) {
  Deno.test(`mstudio --serve: a token until Ctrl-C, the instance ${keep ? "kept" : "removed"}`, async () => {
    const port = freePort();
    const handler = extension(port);
    let interrupted = false;
    await using server = serve(async (request) => {
      // npx and bunx repeat the terminal's signal, so it arrives twice.
      if (interrupted) command.kill("SIGINT");
      if (interrupted) await new Promise((resolve) => setTimeout(resolve, 100));
      return await handler(request);
    });
    const command = startCommand([...server.args, `--serve=${port}`, ...keep ? ["--keep"] : []]);
    await poll(() => command.printed.stdout.includes("Ctrl-C ends it"));
    const [{ id, secret }] = [...storage.rows.values()] as [MemoryRow];
    const tokens = new InstanceTokens({ storage, apiUrl: `http://localhost:${port}` });
    assertMatch(await tokens.get(id), /./);
    await assertServesSessions(port, id, command.printed.stdout);
    interrupted = true;
    command.kill("SIGINT");
    const { code, stdout, stderr } = await command.ended;
    assertEquals([code, stderr], [0, ""]);
    assert(!stdout.includes(secret!));
    assertEquals([/^removed/m.test(stdout), storage.rows.size], [!keep, keep ? 1 : 0]);
  });
}

Deno.test("mstudio: a closed terminal leaves no instance behind", async () => {
  const handler = extension(port, "another-extension");
  await using server = serve(async (request) => {
    const response = await handler(request);
    if (storage.rows.size > 0 && !hungUp) {
      hungUp = true;
      command.kill("SIGHUP");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return response;
  });
  let hungUp = false;
  const env = { EXTENSION_ID: "another-extension", MITTWALD_API_URL: `http://localhost:${port}` };
  const command = startCommand(server.args, { env });
  const { code, stdout } = await command.ended;
  assertEquals([code, storage.rows.size], [129, 0]);
  assertMatch(stdout, /^added .*\nremoved .*\n\n2 of 2 answers/m);
});

const page = `\x1b[2J<h1>\r\nNot found</h1>${"x".repeat(1_000)}`;
const mistakes: Record<string, [(request: Request) => Response | Promise<Response>, RegExp]> = {
  "another API": [
    extension(freePort()),
    /added +502 {2}ERR_PUBLIC_KEY_UNAVAILABLE {2}.*\n\n0 of 1 answer as expected\n.*Start it with MITTWALD_API_URL=http:\/\/localhost:/,
  ],
  "another extension": [
    extension(port, "another-extension"),
    /added +403 {2}ERR_WRONG_EXTENSION[^]*for the extension "my-extension": give .* as --extension-id/,
  ],
  "a web page, which does not affect the terminal": [
    () => new Response(page, { status: 404 }),
    /added +404 {2}<h1> Not found<\/h1>x{100,200}…\n[^]*\nIs the path of --target correct/,
  ],
  "an endless answer": [
    () => new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(65_536)) })),
    /forged +200\n[^]*A forged webhook was accepted/,
  ],
  "an extension that hangs": [
    () => new Promise((resolve) => setTimeout(resolve, 7_000, new Response())),
    /added +no answer {2}none came in time\n[^]*\nThe extension did not answer within the 6 seconds that mittwald waits\n$/,
  ],
  "a storage that fails": [
    () => Response.json({ code: "ERR_STORAGE_FAILED", message: "no" }, { status: 503 }),
    /added +503 {2}ERR_STORAGE_FAILED {2}no\n[^]*\nThe response does not show the cause: give .* an onError that logs error\.cause\n$/,
  ],
  // It stops serving after a failure.
  "an extension that accepts everything": [() => new Response(), /A forged webhook was accepted/],
};
for (const [what, [handler, found]] of Object.entries(mistakes)) {
  Deno.test(`mstudio: the problem and its remedy are shown: ${what}`, async () => {
    await using server = serve(handler);
    const { code, stdout } = await runCommand([...server.args, `--serve=${port}`]);
    assertEquals(code, 1);
    assertMatch(stdout, found);
  });
}

Deno.test("mstudio: no listener, and a port in use", async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const used = listener.addr.port;
  const target = `--target=http://localhost:${freePort()}/`;
  const { code, stdout } = await runCommand(["mstudio", target, `--serve=${port}`]);
  assertEquals(code, 1);
  assertMatch(stdout, /^added +no answer {2}.*refused[^]*\nIs the extension running/mi);
  const inUse = await runCommand(["mstudio", target, `--serve=${used}`]);
  assertEquals(inUse.code, 1);
  assertStringIncludes(inUse.stderr, `Listening on port ${used}: the port is in use`);
  const elsewhere = { env: { MITTWALD_API_URL: "https://api.mittwald.de:9000" } };
  const onDefault = await runCommand(["mstudio", target], elsewhere);
  assertMatch(onDefault.stdout + onDefault.stderr, /http:\/\/localhost:8001|port 8001: .* in use/);
});

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createWebhookHandler, MittwaldPublicKeys } from "../mod.ts";
import { InstanceTokens } from "../tokens/mod.ts";
import { runCommand, startCommand } from "./support/cli.ts";
import { poll } from "./support/postgres.ts";

/** An extension in this process, with a storage in memory. */
function startExtension(apiPort: number, extensionId = "my-extension") {
  const secrets = new Map<string, string>();
  const handler = createWebhookHandler({
    storage: {
      upsertExtension: (added) => void secrets.set(added.extensionInstanceId, added.secret),
      updateExtension: () => {},
      rotateSecret: (id, secret) => void secrets.set(id, secret),
      removeInstance: (id) => void secrets.delete(id),
    },
    extensionId,
    publicKeys: new MittwaldPublicKeys({ apiUrl: `http://localhost:${apiPort}` }),
  });
  const server = Deno.serve({ port: 0, onListen() {} }, handler);
  return {
    secrets,
    target: `http://localhost:${server.addr.port}/webhooks`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return listener.addr.port;
}

Deno.test("mstudio: an instance's life and a forgery, and it ends by itself", async () => {
  // The port that everybody's extension is told.
  await using extension = startExtension(8001);
  const { code, stdout, stderr } = await runCommand([
    "mstudio",
    "--target",
    extension.target,
    "--forge",
  ]);
  assertEquals([code, stderr], [0, ""], stdout);
  assertStringIncludes(stdout, `target     ${extension.target}\n`);
  assertStringIncludes(stdout, "MITTWALD_API_URL=http://localhost:8001\n");
  assertEquals(stdout.match(/^(added|updated|rotated|forged|removed) .*$/gm), [
    "added      200  STORED  Handling ExtensionAddedToContext: done",
    "updated    200  STORED  Handling InstanceUpdated: done",
    "rotated    200  STORED  Handling SecretRotated: done",
    "forged     401  ERR_SIGNATURE_INVALID  Checking the signature of a webhook: it does not fit the body",
    "removed    200  STORED  Handling InstanceRemovedFromContext: done",
  ]);
  assert(stdout.endsWith("\n5 of 5 answers as expected\n"));
  assertEquals(extension.secrets.size, 0);
});

Deno.test("mstudio --serve: the secret gives a token until Ctrl-C, --keep keeps the instance", async () => {
  const port = freePort();
  await using extension = startExtension(port);
  for (const keep of [false, true]) {
    extension.secrets.clear();
    const child = startCommand(
      ["mstudio", "--target", extension.target, `--serve=${port}`, ...keep ? ["--keep"] : []],
    );
    const stderr = new Response(child.stderr).text();
    let stdout = "";
    const reading = (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) stdout += text;
    })();
    await poll(() => stdout.includes("Ctrl-C ends it"));
    const [[id, secret]] = [...extension.secrets] as [[string, string]];
    const tokens = new InstanceTokens({
      storage: { getExtension: () => Promise.resolve({ secret }) },
      apiUrl: `http://localhost:${port}`,
    });
    assertMatch(await tokens.get(id), /./);
    assert(!stdout.includes(secret));
    child.kill("SIGINT");
    assertEquals((await child.status).code, 0);
    await reading;
    assertEquals(await stderr, "");
    assertEquals(/^removed/m.test(stdout), !keep);
    assertEquals(extension.secrets.size, keep ? 1 : 0);
  }
});

Deno.test("mstudio: what is wrong is told, with what to do about it", async (t) => {
  const run = (target: string, ...args: string[]) =>
    runCommand(["mstudio", "--target", target, "--serve", String(freePort()), "--forge", ...args]);

  await t.step("another API", async () => {
    await using extension = startExtension(freePort());
    const { code, stdout } = await run(extension.target);
    assertEquals(code, 1);
    assertMatch(stdout, /^added +502 {2}ERR_PUBLIC_KEY_UNAVAILABLE {2}/m);
    assertMatch(stdout, /^0 of 1 answer as expected$/m);
    assertStringIncludes(stdout, "Start it with MITTWALD_API_URL=http://localhost:");
    assert(!stdout.includes("updated"));
  });

  await t.step("another extension", async () => {
    const port = freePort();
    await using extension = startExtension(port, "another-extension");
    const args = ["mstudio", "--target", extension.target, "--serve", String(port)];
    const { code, stdout } = await runCommand(args);
    assertEquals(code, 1);
    assertMatch(stdout, /^added +403 {2}ERR_WRONG_EXTENSION/m);
    assertStringIncludes(stdout, 'for the extension "my-extension": give --extension-id');
    // The variable that the extension reads, too.
    const child = startCommand(args, { env: { EXTENSION_ID: "another-extension" } });
    await poll(() => extension.secrets.size > 0);
    child.kill("SIGINT");
    await child.output();
  });

  await t.step("nobody listens", async () => {
    const { code, stdout } = await run(`http://localhost:${freePort()}/`);
    assertEquals(code, 1);
    assertMatch(stdout, /^added +no answer {2}.*refused/mi);
    assertStringIncludes(stdout, "Is the extension running");
  });

  await t.step("a web page, which does nothing to the terminal", async () => {
    await using server = Deno.serve(
      { port: 0, onListen() {} },
      () => new Response(`\x1b[2J<h1>\r\nNot found</h1>${"x".repeat(1_000)}`, { status: 404 }),
    );
    const { code, stdout } = await run(`http://localhost:${server.addr.port}/`);
    assertEquals(code, 1);
    assertMatch(stdout, /^added +404 {2}<h1> Not found<\/h1>x{100,200}…$/m);
    assertStringIncludes(stdout, "Is the path of --target that of the extension's webhooks?");
  });

  await t.step("an extension that takes everything", async () => {
    await using server = Deno.serve({ port: 0, onListen() {} }, () => new Response());
    const port = freePort();
    const child = startCommand(
      ["mstudio", `--target=http://localhost:${server.addr.port}/`, `--serve=${port}`, "--forge"],
    );
    // It does not go on serving after a failure.
    const { code, stdout } = await child.output();
    assertEquals(code, 1);
    assertStringIncludes(new TextDecoder().decode(stdout), "A forged webhook was accepted");
  });

  await t.step("a port that is in use", async () => {
    using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = listener.addr;
    const { code, stderr } = await runCommand(
      ["mstudio", "--target", "http://localhost:1/", "--serve", String(port)],
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, `Listening on port ${port}: the port is in use`);
  });
});

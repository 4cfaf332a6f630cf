/** Deliveries to a URL, received by a real server on the loopback interface. */

import { assert, assertEquals } from "@std/assert";
import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
import { Receiver, until } from "./receiver.ts";

type Handler = (request: Request) => Response | Promise<Response>;

function serve(handler: Handler): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
}

Deno.test("all four events reach a server, signed", async () => {
  const receiver = new Receiver(({ payload }) => Response.json({ code: payload.kind }));
  await using server = serve(receiver.handle);
  const target = new URL(`http://127.0.0.1:${server.addr.port}/webhooks?tenant=ü`);
  await using mstudio = await SimulatedMstudio.create({ extensionId: "e-1", target });
  receiver.publicKeys = mstudio.publicKeys;

  const instance = await mstudio.addInstance({ consentedScopes: ["größe:ändern 🔑"] });
  await instance.update({ enabled: false });
  await instance.rotateSecret();
  await instance.remove();
  assertEquals(mstudio.deliveries.map(({ responseBody }) => responseBody), [
    '{"code":"ExtensionAddedToContext"}',
    '{"code":"InstanceUpdated"}',
    '{"code":"SecretRotated"}',
    '{"code":"InstanceRemovedFromContext"}',
  ]);
  for (const { payload, url, method, headers, signed } of receiver.received) {
    assert(signed);
    assertEquals(method, "POST");
    assertEquals(headers.get("Content-Type"), "application/json");
    assertEquals(payload.request.target.url, target.href);
    assertEquals(new URL(url).search, target.search);
  }
});

Deno.test("a redirect is a failure and is not followed", async () => {
  const paths: string[] = [];
  await using server = serve((request) => {
    paths.push(new URL(request.url).pathname);
    return paths.length === 1
      ? new Response(null, { status: 307, headers: { Location: "/elsewhere" } })
      : new Response();
  });
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: `http://127.0.0.1:${server.addr.port}/webhooks`,
    backoff: { initialMs: 1 },
  });
  await mstudio.addInstance();
  assertEquals(paths, ["/webhooks", "/webhooks"]);
  assertEquals(mstudio.deliveries.map(({ status }) => status), [307, 200]);
});

Deno.test("a server that is too slow loses its connection, and gets the delivery again", async () => {
  // Bare sockets: Deno.serve does not notice at once that a client has gone.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: `http://127.0.0.1:${listener.addr.port}`,
    backoff: { initialMs: 1 },
    attemptTimeoutMs: 100,
  });
  const added = mstudio.addInstance();
  using slow = await listener.accept();
  let read: number | null = 0;
  while (read !== null) read = await slow.read(new Uint8Array(4096));
  const answering = answerAll(listener);
  await added;
  listener.close();
  await answering;
  assertEquals(mstudio.deliveries[0]!.failure, "timed-out");
  assertEquals(mstudio.deliveries.at(-1)!.status, 204);
});

/** Answers the first bytes of every connection with 204, until the listener is closed. */
async function answerAll(listener: Deno.Listener): Promise<void> {
  for await (const connection of listener) {
    await connection.read(new Uint8Array(65_536));
    const answer = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    await connection.write(new TextEncoder().encode(answer));
    connection.close();
  }
}

Deno.test("a server that is down gets the delivery when it is back", async () => {
  const first = serve(() => new Response());
  const { port } = first.addr;
  await first.shutdown();
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: `http://127.0.0.1:${port}`,
    backoff: { initialMs: 1, maxMs: 5 },
  });
  const added = mstudio.addInstance();
  await until(() => mstudio.deliveries.length >= 1);
  await using _server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, () => {
    return new Response();
  });
  await added;
  assertEquals(mstudio.deliveries[0]!.failure, "no-response");
  assert(mstudio.deliveries[0]!.error instanceof TypeError);
  assertEquals(mstudio.deliveries.at(-1)!.status, 200);
});

/** Deliveries to URLs of real servers on the loopback interface. */

import { assert, assertEquals } from "@std/assert";
import { poll } from "../../tools/postgres/databases.ts";
import { ADDED, assertUndelivered, log, simulate, UPDATED } from "./support.ts";

function serve(handler: (request: Request) => Response | Promise<Response>, port = 0) {
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, handler);
  const { port: used } = server.addr;
  const url = `http://127.0.0.1:${used}`;
  return { url, port: used, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("a redirect is a failure and is not followed", async () => {
  const paths: string[] = [];
  await using server = serve((request) => {
    paths.push(new URL(request.url).pathname);
    const redirected = { status: 307, headers: { Location: "/elsewhere" } };
    return new Response(null, paths.length === 1 ? redirected : { status: 200 });
  });
  await using sim = await simulate(undefined, { target: `${server.url}/webhooks` });
  await sim.mstudio.addInstance();
  assertEquals(paths, ["/webhooks", "/webhooks"]);
  assertEquals(log(sim.mstudio), [`${ADDED} 1 307`, `${ADDED} 2 200`]);
});

// Raw sockets: Deno.serve notices only later that a client has gone.
function listen() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return { listener, target: `http://127.0.0.1:${listener.addr.port}` };
}

/** Reads until the other side has gone. */
async function readToEnd(connection: Deno.Conn): Promise<void> {
  let read: number | null = 0;
  while (read !== null) read = await connection.read(new Uint8Array(4096));
}

Deno.test("a server that is too slow loses its connection, and gets the delivery again", async () => {
  const { listener, target } = listen();
  await using sim = await simulate(undefined, { target, attemptTimeoutMs: 100 });
  const added = sim.mstudio.addInstance();
  using slow = await listener.accept();
  await readToEnd(slow);
  const answering = answerAll(listener);
  await added;
  listener.close();
  await answering;
  assertEquals(sim.mstudio.deliveries[0]!.failure, "timed-out");
  assertEquals(sim.mstudio.deliveries.at(-1)!.status, 204);
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

Deno.test("closing aborts queued and single requests", async () => {
  for (const way of ["queued", "single"]) {
    const { listener, target } = listen();
    using _ = listener;
    const { mstudio } = await simulate(undefined, { target });
    const delivered = way === "queued"
      ? mstudio.addInstance()
      : mstudio.deliverOnce(mstudio.event(UPDATED));
    const closed = assertUndelivered("ERR_CLOSED", delivered);
    using connection = await listener.accept();
    await connection.read(new Uint8Array(1));
    await mstudio.close();
    assertEquals(mstudio.deliveries.map(({ failure }) => failure), ["closed"]);
    await readToEnd(connection);
    await closed;
  }
});

Deno.test("a server that is down gets the delivery when it is back", async () => {
  const gone = serve(() => new Response());
  await gone[Symbol.asyncDispose]();
  await using sim = await simulate(undefined, { target: gone.url });
  const added = sim.mstudio.addInstance();
  await poll(() => sim.mstudio.deliveries.length >= 1);
  await using _back = serve(() => new Response(), gone.port);
  await added;
  const { failure, error } = sim.mstudio.deliveries[0]!;
  assertEquals(failure, "no-response");
  assert(error instanceof TypeError);
  assertEquals(sim.mstudio.deliveries.at(-1)!.status, 200);
});

/** Serves a handler of requests on this machine, on every runtime. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Failure } from "./errors.ts";

type Handler = (request: Request) => Promise<Response>;

/** The largest body that is read, in bytes; none of the API's is near it. */
const MAX_BODY_BYTES = 1024 ** 2;

/**
 * Starts a server that only this machine reaches.
 *
 * @throws {Failure} It cannot listen on this port.
 */
export async function serveLocally(handler: Handler, port: number) {
  const server = createServer((incoming, outgoing) => void respond(handler, incoming, outgoing));
  await new Promise<void>((resolve, reject) => {
    server.once("error", ({ code = "it is not possible" }: Error & { code?: string }) => {
      const inUse = "the port is in use, take another one with --serve";
      reject(new Failure(`Listening on port ${port}: ${code === "EADDRINUSE" ? inUse : code}`));
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A body, or `undefined` where it is too large. */
async function readBody(incoming: IncomingMessage): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    length += chunk.byteLength;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function headersOf({ headersDistinct }: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  return headers;
}

async function respond(handler: Handler, incoming: IncomingMessage, outgoing: ServerResponse) {
  try {
    const { method = "GET", url = "/" } = incoming;
    const body = method === "GET" || method === "HEAD" ? null : await readBody(incoming);
    const response = body === undefined ? new Response(null, { status: 413 }) : await handler(
      new Request(new URL(url, "http://localhost"), {
        method,
        headers: headersOf(incoming),
        body,
      }),
    );
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(new Uint8Array(await response.arrayBuffer()));
  } catch {
    if (!outgoing.headersSent) outgoing.writeHead(500);
    outgoing.end();
  }
}

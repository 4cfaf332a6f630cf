/** Serves a handler of requests on this machine, on every runtime. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Failure } from "./failure.ts";

/** Requests to the API are small. */
const MAX_BODY_BYTES = 65_536;

/** A running server. */
export interface LocalServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Starts a server that only this machine reaches.
 *
 * @param handler What answers.
 * @param port Where; 0 for any that is free.
 * @throws {Failure} It cannot listen there.
 */
export async function serveLocally(
  handler: (request: Request) => Promise<Response>,
  port: number,
): Promise<LocalServer> {
  const server = createServer((incoming, outgoing) => void answer(handler, incoming, outgoing));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: Error & { code?: string }) => {
      const found = error.code === "EADDRINUSE"
        ? "the port is in use, take another one with --serve"
        : error.code ?? "it is not possible";
      reject(new Failure(`Listening on port ${port}: ${found}`));
    });
    server.listen(port, "127.0.0.1", () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  handler: (request: Request) => Promise<Response>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  try {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for await (const chunk of incoming) {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) return void outgoing.writeHead(413).end();
      chunks.push(chunk);
    }
    const { method = "GET", url = "/" } = incoming;
    const hasBody = method !== "GET" && method !== "HEAD";
    const response = await handler(
      new Request(new URL(url, "http://localhost"), {
        method,
        ...hasBody ? { body: new Blob(chunks) } : {},
      }),
    );
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(new Uint8Array(await response.arrayBuffer()));
  } catch {
    if (!outgoing.headersSent) outgoing.writeHead(500);
    outgoing.end();
  }
}

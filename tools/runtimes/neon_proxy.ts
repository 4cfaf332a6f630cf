/**
 * Connects Neon's drivers with PostgreSQL: a proxy for WebSockets, and an endpoint with the part of
 * Neon's HTTP protocol that its driver uses.
 */
import { connect } from "node:net";
// @ts-types="@types/pg"
import pg from "pg";
import type { Between } from "./server.ts";

/** A query of the HTTP protocol; its parameters are texts. */
interface HttpQuery {
  readonly query: string;
  readonly params: (string | null)[];
}

/** Starts the proxy for WebSockets; its address is `host:port`. */
export const startWebSocketProxy = (): Promise<Between> => serve(passOn, (address) => address);

export const startHttpEndpoint = (): Promise<Between> =>
  serve(answerQueries, (address) => `http://${address}/sql`);

function serve(
  respond: (request: Request) => Response | Promise<Response>,
  urlOf: (address: string) => string,
): Promise<Between> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, respond);
  return Promise.resolve({
    url: urlOf(`127.0.0.1:${server.addr.port}`),
    [Symbol.asyncDispose]: () => server.shutdown(),
  });
}

/** Passes a WebSocket's bytes on to the address in its query string. */
function passOn(request: Request): Response {
  const { hostname, port } = new URL(`tcp://${new URL(request.url).searchParams.get("address")}`);
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    const connection = connect(Number(port), hostname);
    socket.onmessage = ({ data }) => connection.write(new Uint8Array(data));
    socket.onclose = () => connection.destroy();
    connection.on("data", (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes);
    });
    // Follows an error.
    connection.on("close", () => socket.close());
    connection.on("error", () => {});
  };
  return response;
}

/** Answers a query or a transaction's queries. */
async function answerQueries(request: Request): Promise<Response> {
  const client = new pg.Client({
    connectionString: request.headers.get("neon-connection-string")!,
  });
  // A query reports it, too.
  client.on("error", () => {});
  const body = await request.json() as HttpQuery | { queries: HttpQuery[] };
  await client.connect();
  try {
    if (!("queries" in body)) return Response.json(await runQuery(client, body));
    await client.query("BEGIN");
    const results: unknown[] = [];
    for (const query of body.queries) results.push(await runQuery(client, query));
    await client.query("COMMIT");
    return Response.json({ results });
  } catch (error) {
    // The fields of PostgreSQL's error, by both drivers' names.
    const { message, ...fields } = error as pg.DatabaseError;
    return Response.json({ message, ...fields }, { status: 400 });
  } finally {
    await client.end();
  }
}

async function runQuery(client: pg.Client, { query, params }: HttpQuery) {
  const { command, rowCount, rows, fields } = await client.query({
    text: query,
    values: params,
    rowMode: "array",
    // Values are sent as PostgreSQL writes them; the driver parses them.
    types: { getTypeParser: () => (value: unknown) => value },
  });
  const described = fields.map(({ name, dataTypeID }) => ({ name, dataTypeID }));
  return { command, rowCount, rowAsArray: true, rows, fields: described };
}

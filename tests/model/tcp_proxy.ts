/** A TCP proxy that cuts and stalls connections. */

/** Where a proxy leads to. */
export interface Endpoint {
  readonly hostname: string;
  readonly port: number;
}

/** A proxy on the loopback interface. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener: Deno.TcpListener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #next: () => Endpoint | undefined;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #accepting: Promise<void>;
  #passage: Promise<void> = Promise.resolve();

  /** @param next Says where a new connection leads to; without a place it is closed at once. */
  constructor(next: () => Endpoint | undefined) {
    this.#next = next;
    this.#accepting = this.#accept();
  }

  /** Its own port. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Closes all connections. */
  cut(): void {
    for (const connection of this.#connections) close(connection);
  }

  /** Lets nothing through for a while. */
  async stall(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#passage = promise;
    await new Promise((done) => setTimeout(done, ms));
    resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    const running = new Set<Promise<void>>();
    try {
      for await (const connection of this.#listener) {
        const serving = this.#serve(connection);
        running.add(serving);
        serving.finally(() => running.delete(serving));
      }
    } catch { /* it was closed */ }
    await Promise.all(running);
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    const endpoint = this.#next();
    const server = endpoint && await Deno.connect(endpoint).catch(() => undefined);
    if (server === undefined) return close(client);
    const both = [client, server];
    for (const connection of both) {
      connection.setNoDelay();
      this.#connections.add(connection);
    }
    // Where one end is closed, so is the other: PostgreSQL rolls back what a dead client began.
    const end = () => both.forEach(close);
    await Promise.all([this.#copy(client, server).then(end), this.#copy(server, client).then(end)]);
    for (const connection of both) this.#connections.delete(connection);
  }

  async #copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let read = await from.read(buffer); read !== null; read = await from.read(buffer)) {
        await this.#passage;
        for (let written = 0; written < read;) {
          written += await to.write(buffer.subarray(written, read));
        }
      }
    } catch { /* one of both was closed */ }
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch { /* it is closed already */ }
}

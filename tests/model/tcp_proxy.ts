/** A TCP proxy on the loopback interface that cuts and stalls connections. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #next: () => Deno.ConnectOptions | undefined;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #accepting: Promise<void>;
  #passage: Promise<void> = Promise.resolve();

  /** @param next Returns the target of a new connection; without one it is closed at once. */
  constructor(next: () => Deno.ConnectOptions | undefined) {
    this.#next = next;
    this.#accepting = this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  cut(): void {
    this.#close(...this.#connections);
  }

  /** Stalls all traffic for a while. */
  async stall(ms: number): Promise<void> {
    await (this.#passage = new Promise((resolve) => setTimeout(resolve, ms)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    const served: Promise<void>[] = [];
    try {
      for await (const connection of this.#listener) served.push(this.#serve(connection));
    } catch { /* it was closed */ }
    await Promise.all(served);
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    this.#connections.add(client);
    const endpoint = this.#next();
    const server = endpoint && await Deno.connect(endpoint).catch(() => undefined);
    if (server === undefined) return this.#close(client);
    // Cut in the meantime.
    if (!this.#connections.has(client)) return server.close();
    this.#connections.add(server);
    for (const connection of [client, server]) connection.setNoDelay();
    // Closes the other end, too: PostgreSQL rolls back a dead client's transaction.
    const end = () => this.#close(client, server);
    await Promise.all([this.#copy(client, server).then(end), this.#copy(server, client).then(end)]);
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

  #close(...connections: Deno.TcpConn[]): void {
    for (const connection of connections) {
      if (this.#connections.delete(connection)) connection.close();
    }
  }
}

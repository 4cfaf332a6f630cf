/** What is used of the pools of node-postgres and of Neon, which is a copy of it. */
interface Pool {
  on(event: "connect", listener: (client: Client) => void): unknown;
  end(): Promise<unknown>;
}

interface Client {
  once(event: "end", listener: () => void): unknown;
}

/**
 * Returns what ends a pool and waits until its connections are closed.
 *
 * `pool.end()` alone resolves earlier: pg-pool forgets a client before the client has ended. Where the database is
 * dropped then, the server's word about a connection that is still closing is an error that nobody listens for.
 */
export function closingOf(pool: Pool): () => Promise<void> {
  const ended: Promise<void>[] = [];
  pool.on("connect", (client) => {
    ended.push(new Promise((resolve) => client.once("end", resolve)));
  });
  return async () => {
    await pool.end();
    await Promise.all(ended);
  };
}

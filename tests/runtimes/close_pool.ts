/** The part used of node-postgres' pool, and of Neon's, which is a copy. */
interface Pool {
  on(event: "connect", listener: (client: Client) => void): unknown;
  end(): Promise<unknown>;
}

interface Client {
  once(event: "end", listener: () => void): unknown;
}

/**
 * Returns a function that ends a pool and waits until its connections are closed.
 *
 * `pool.end()` alone resolves earlier: pg-pool forgets a client before it has ended. Dropping the
 * database then causes an error on a closing connection, which nobody handles.
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

import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { drizzle } from "drizzle-orm/postgres-js";
// @ts-types="@types/pg"
import pg from "pg";
import postgres from "postgres";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  keyStatus,
  reencrypt,
  type ReencryptionReport,
  StorageError,
} from "../pg/mod.ts";
import {
  idOf,
  keys,
  newKey,
  oldKey,
  ROWS,
  secretOf,
  tableOfStep,
} from "./fixtures/key_rotation/steps.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import { createDatabase, startServer } from "./support/postgres.ts";

/** Rows under the old key, as the application of step 0 has written them. */
async function storeRows(client: postgres.Sql, count: number): Promise<void> {
  await client.unsafe(extensionInstanceDdl);
  const rows = Array.from({ length: count }, (_, row) => row);
  const secrets = await Promise.all(rows.map((row) => oldKey.encrypt(secretOf(row, 0))));
  await client`
    INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
    SELECT id, 'p-abc123', true, '{}', secret
    FROM unnest(${rows.map(idOf)}::text[], ${secrets}::text[]) AS row (id, secret)`;
  await client`ANALYZE extension_instance`;
}

/** What is stored, read with the new key alone. */
async function readAll(client: postgres.Sql): Promise<Map<string, string>> {
  const rows = await client<{ id: string; secret: string }[]>`
    SELECT id, secret FROM extension_instance`;
  return new Map(
    await Promise.all(
      rows.map(async ({ id, secret }) => [id, await newKey.decrypt(secret)] as const),
    ),
  );
}

/** A program of tests/fixtures/key_rotation at work. */
class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(url: string, name: string, ...args: string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        new URL(`./fixtures/key_rotation/${name}.ts`, import.meta.url).pathname,
        ...args,
      ],
      cwd: new URL("..", import.meta.url),
      env: { DATABASE_URL: url },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line that it prints, or `undefined` at the end. */
  async line(): Promise<string | undefined> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) return undefined;
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  /** Lets it come to its end; the last line that it prints, as JSON. */
  async result<T>(): Promise<T> {
    await this.#child.stdin.close();
    let last: string | undefined;
    for (let line = await this.line(); line !== undefined; line = await this.line()) last = line;
    assertEquals((await this.#child.status).code, 0);
    return JSON.parse(last!);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    assertEquals((await this.#child.status).signal, "SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await this.#child.status;
    await this.#lines.cancel();
    await this.#child.stdin.close().catch(() => {});
  }
}

Deno.test("re-encryption: two processes on different steps read, write and remove meanwhile", async () => {
  await using database = await createDatabase();
  const client = postgres(database.url, { max: 2, onnotice: () => {} });
  try {
    await storeRows(client, ROWS);
    await using step1 = new Program(database.url, "worker", "1", "0");
    await using step2 = new Program(database.url, "worker", "2", "1");
    for (const worker of [step1, step2]) assertEquals(await worker.line(), "warm");

    // Two at once, in batches that do not meet.
    const lastWrite = async () =>
      (await client<{ at: Date }[]>`SELECT max("updatedAt") AS at FROM extension_instance`)[0]!.at;
    const before = await lastWrite();
    const reports = await Promise.all(["100", "333"].map(async (batchSize) => {
      await using program = new Program(database.url, "reencrypt", batchSize);
      return await program.result<ReencryptionReport>();
    }));
    for (const report of reports) {
      assertEquals([report.unreadable, report.aborted], [[], false]);
      assertGreater(report.reencrypted, 0);
    }
    // Re-encryption does not set updatedAt, so the processes were at work all the time.
    assertGreater((await lastWrite()).getTime(), before.getTime());

    type Written = { writes: number; reads: number; rows: [row: number, version: number | null][] };
    const written1 = await step1.result<Written>();
    // The last process of step 1 has ended: step 3, while the other one goes on.
    const table = tableOfStep("2");
    const report = await reencrypt(drizzle(client), table);
    assertEquals(report.unreadable, []);
    const { secret } = await keyStatus(drizzle(client), table);
    assertEquals([secret?.otherKey, secret?.unreadable, secret?.null], [0, 0, 0]);

    const written2 = await step2.result<Written>();
    for (const { writes, reads } of [written1, written2]) {
      assertGreater(writes, 100);
      assertGreater(reads, 100);
    }
    const expected = new Map<string, string>();
    for (const [row, version] of [...written1.rows, ...written2.rows]) {
      if (version !== null) expected.set(idOf(row), secretOf(row, version));
    }
    assertLess(expected.size, ROWS);
    const stored = await readAll(client);
    assertEquals(stored.size, expected.size);
    for (const [id, value] of expected) assertEquals(stored.get(id), value);
  } finally {
    await client.end();
  }
});

Deno.test("re-encryption: killed in the middle, and started again", async () => {
  await using database = await createDatabase();
  const client = postgres(database.url, { max: 2, onnotice: () => {} });
  try {
    await storeRows(client, ROWS);
    {
      await using program = new Program(database.url, "reencrypt", "20");
      for (let batch = 1; batch <= 5; batch++) {
        assertEquals(await program.line(), String(20 * batch));
      }
      await program.kill();
    }
    const table = tableOfStep("2");
    const { secret } = await keyStatus(drizzle(client), table);
    assertGreater(secret!.current, 99);
    assertGreater(secret!.otherKey, 0);
    assertEquals(secret!.current + secret!.otherKey, ROWS);

    await using again = new Program(database.url, "reencrypt", "500");
    const report = await again.result<ReencryptionReport>();
    assertEquals([report.scanned, report.unreadable], [ROWS, []]);
    const stored = await readAll(client);
    assertEquals(stored.size, ROWS);
    for (let row = 0; row < ROWS; row++) assertEquals(stored.get(idOf(row)), secretOf(row, 0));
  } finally {
    await client.end();
  }
});

Deno.test("re-encryption: the database goes away in the middle, and comes back", async () => {
  await using server = await startServer();
  const pool = new pg.Pool({ connectionString: server.url, max: 1 });
  // The pool reports the end of idle connections here; without a listener it would throw.
  pool.on("error", () => {});
  try {
    const client = postgres(server.url, { max: 1, onnotice: () => {} });
    await storeRows(client, 100);
    await client.end();
    const { encrypt, decrypt, isCurrent } = keys["2"]!;
    const key = keys["2"]!;
    let decrypted = 0;
    const table = buildExtensionInstanceTable(buildEncryptedTextColumn({
      encrypt: encrypt.bind(key),
      isCurrent: isCurrent!.bind(key),
      async decrypt(ciphertext) {
        if (++decrypted === 50) await server.stop();
        return await decrypt.call(key, ciphertext);
      },
    }));
    const db = drizzleNodePostgres(pool);
    const scanned: number[] = [];
    const error = await assertRejects(
      () =>
        reencrypt(db, table, {
          batchSize: 20,
          onProgress: (progress) => scanned.push(progress.scanned),
        }),
      StorageError,
    );
    assertEquals([error.operation, error.code], ["reencrypt", "ERR_STORAGE_FAILED"]);
    assert(error.cause instanceof Error);
    assertEquals(scanned, [20, 40]);
    await server.start();
    const report = await reencrypt(db, table, { batchSize: 20 });
    assertEquals([report.reencrypted, report.unreadable], [60, []]);
  } finally {
    await pool.end();
  }
});

Deno.test("re-encryption: a conflict with another transaction at a stricter isolation level", async () => {
  await using database = await createDatabase();
  const other = postgres(database.url, { max: 1, onnotice: () => {} });
  const client = postgres(database.url, {
    max: 1,
    connection: { default_transaction_isolation: "repeatable read" },
  });
  try {
    await storeRows(other, 10);
    const key = keys["2"]!;
    let changing: Promise<unknown> | undefined;
    const table = buildExtensionInstanceTable(buildEncryptedTextColumn({
      encrypt: (plaintext) => key.encrypt(plaintext),
      isCurrent: (ciphertext) => key.isCurrent!(ciphertext),
      async decrypt(ciphertext) {
        if (!changing) {
          // Holds the row until re-encryption waits for it.
          const held = Promise.withResolvers<void>();
          changing = other.begin(async (sql) => {
            await sql`UPDATE extension_instance SET secret = ${await newKey.encrypt("changed")}
              WHERE id = ${idOf(3)}`;
            held.resolve();
            for (let waiting = false; !waiting;) {
              const [row] = await sql<{ waiting: boolean }[]>`
                SELECT count(*) > 0 AS waiting FROM pg_locks WHERE NOT granted`;
              waiting = row!.waiting;
            }
          });
          await held.promise;
        }
        return await key.decrypt(ciphertext);
      },
    }));
    const report = await reencrypt(drizzle(client), table);
    await changing;
    assertEquals([report.scanned, report.reencrypted, report.unreadable], [10, 9, []]);
    assertEquals((await readAll(other)).get(idOf(3)), "changed");
  } finally {
    await client.end();
    await other.end();
  }
});

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
  keyOfStep2,
  newKey,
  oldKey,
  ROWS,
  secretOf,
  tableOfStep,
} from "./fixtures/key_rotation/steps.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import { createDatabase, startServer } from "./support/postgres.ts";

/** A client of a database with rows under the old key, as the application of step 0 has written them. */
async function openFilled(url: string, count: number) {
  const client = postgres(url, { max: 2, onnotice: () => {} });
  await client.unsafe(extensionInstanceDdl);
  const rows = Array.from({ length: count }, (_, row) => row);
  const secrets = await Promise.all(rows.map((row) => oldKey.encrypt(secretOf(row, 0))));
  await client`
    INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
    SELECT id, 'p-abc123', true, '{}', secret
    FROM unnest(${rows.map(idOf)}::text[], ${secrets}::text[]) AS row (id, secret)`;
  await client`ANALYZE extension_instance`;
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** What is stored, read with the new key alone. */
async function readAll(client: postgres.Sql): Promise<Map<string, string>> {
  const rows = await client<{ id: string; secret: string }[]>`
    SELECT id, secret FROM extension_instance`;
  const read = rows.map(async ({ id, secret }) => [id, await newKey.decrypt(secret)] as const);
  return new Map(await Promise.all(read));
}

/** The table of step 2, and something to do when a value is decrypted for the n-th time. */
function tableInterrupted(at: number, interrupt: () => Promise<void>) {
  let decrypted = 0;
  return buildExtensionInstanceTable(buildEncryptedTextColumn({
    encrypt: (plaintext) => keyOfStep2.encrypt(plaintext),
    isCurrent: (ciphertext) => keyOfStep2.isCurrent!(ciphertext),
    async decrypt(ciphertext) {
      if (++decrypted === at) await interrupt();
      return await keyOfStep2.decrypt(ciphertext);
    },
  }));
}

/** A program of tests/fixtures/key_rotation at work, and the lines that it prints. */
function start(url: string, name: string, ...args: string[]) {
  const file = new URL(`./fixtures/key_rotation/${name}.ts`, import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", file, ...args],
    cwd: new URL("..", import.meta.url),
    env: { DATABASE_URL: url },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = (async function* () {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const all = (rest + text).split("\n");
      rest = all.pop()!;
      yield* all;
    }
  })();
  const stop = async () => {
    await child.stdin.close().catch(() => {});
    return await child.status;
  };
  return {
    line: async () => (await lines.next()).value,
    /** Lets it come to its end; the last line that it prints, as JSON. */
    async result<T>(): Promise<T> {
      await child.stdin.close();
      let last = "";
      for await (const line of lines) last = line;
      assertEquals((await child.status).code, 0);
      return JSON.parse(last);
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended */ }
      await stop();
      await lines.return(undefined);
    },
  };
}

Deno.test("re-encryption: two processes on different steps read, write and remove meanwhile", async () => {
  await using database = await createDatabase();
  await using client = await openFilled(database.url, ROWS);
  await using step1 = start(database.url, "worker", "1", "0");
  await using step2 = start(database.url, "worker", "2", "1");
  for (const worker of [step1, step2]) assertEquals(await worker.line(), "warm");

  // Two at once, in batches that do not meet.
  const lastWrite = async () =>
    (await client`SELECT max("updatedAt") AS at FROM extension_instance`)[0]!["at"];
  const before = await lastWrite();
  const reports = await Promise.all(["100", "333"].map(async (batchSize) => {
    await using program = start(database.url, "reencrypt", batchSize);
    return await program.result<ReencryptionReport>();
  }));
  for (const report of reports) {
    assertEquals([report.unreadable, report.aborted], [[], false]);
    assertGreater(report.reencrypted, 0);
  }
  // Re-encryption does not set updatedAt, so the processes were at work all the time.
  assertGreater(await lastWrite(), before);

  type Written = { writes: number; reads: number; rows: [row: number, version: number][] };
  const written1 = await step1.result<Written>();
  // The last process of step 1 has ended: step 3, while the other one goes on.
  const table = tableOfStep("2");
  assertEquals((await reencrypt(drizzle(client), table)).unreadable, []);
  const { secret } = await keyStatus(drizzle(client), table);
  assertEquals([secret?.otherKey, secret?.unreadable, secret?.null], [0, 0, 0]);

  const written2 = await step2.result<Written>();
  for (const { writes, reads } of [written1, written2]) {
    assertGreater(Math.min(writes, reads), 100);
  }
  const rows = [...written1.rows, ...written2.rows];
  assertLess(rows.length, ROWS);
  const stored = await readAll(client);
  assertEquals(stored.size, rows.length);
  for (const [row, version] of rows) assertEquals(stored.get(idOf(row)), secretOf(row, version));
});

Deno.test("re-encryption: killed in the middle, and started again", async () => {
  await using database = await createDatabase();
  await using client = await openFilled(database.url, ROWS);
  {
    await using program = start(database.url, "reencrypt", "20");
    for (let batch = 1; batch <= 5; batch++) {
      assertEquals(await program.line(), String(20 * batch));
    }
    // It is killed here.
  }
  const { secret } = await keyStatus(drizzle(client), tableOfStep("2"));
  assertGreater(secret!.current, 99);
  assertGreater(secret!.otherKey, 0);
  assertEquals(secret!.current + secret!.otherKey, ROWS);

  await using again = start(database.url, "reencrypt", "500");
  const report = await again.result<ReencryptionReport>();
  assertEquals([report.scanned, report.unreadable], [ROWS, []]);
  const stored = await readAll(client);
  assertEquals(stored.size, ROWS);
  for (let row = 0; row < ROWS; row++) assertEquals(stored.get(idOf(row)), secretOf(row, 0));
});

Deno.test("re-encryption: the database goes away in the middle, and comes back", async () => {
  await using server = await startServer();
  {
    await using _client = await openFilled(server.url, 100);
  }
  const pool = new pg.Pool({ connectionString: server.url, max: 1 });
  // The pool reports the end of idle connections here; without a listener it would throw.
  pool.on("error", () => {});
  try {
    const table = tableInterrupted(50, () => server.stop());
    const db = drizzleNodePostgres(pool);
    const scanned: number[] = [];
    const onProgress = (progress: { scanned: number }) => scanned.push(progress.scanned);
    const run = () => reencrypt(db, table, { batchSize: 20, onProgress });
    const error = await assertRejects(run, StorageError);
    assertEquals([error.operation, error.code], ["reencrypt", "ERR_STORAGE_FAILED"]);
    assert(error.cause instanceof Error);
    assertEquals(scanned, [20, 40]);
    await server.start();
    const report = await run();
    assertEquals([report.reencrypted, report.unreadable], [60, []]);
  } finally {
    await pool.end();
  }
});

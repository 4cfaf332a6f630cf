import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { integer, pgTable, timestamp, uuid, varchar } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
// @ts-types="@types/pg"
import pg from "pg";
import postgres from "postgres";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  type EncryptionKey,
  importEncryptionKey,
  keyStatus,
  PgExtensionStorage,
  reencrypt,
  StorageError,
} from "../pg/mod.ts";
import { reencryption } from "./suites/reencryption.ts";
import { drivers, testOnEachDriver } from "./support/drivers.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import { createDatabase, poll, startServer } from "../tools/postgres/databases.ts";

testOnEachDriver("re-encryption", reencryption);

const raw = (byte: number) => new Uint8Array(32).fill(byte);
const oldKey = importEncryptionKey(raw(1));
const newKey = importEncryptionKey(raw(2));
/** The keys of applications at steps 1 and 2 of the procedure. */
const keyOfStep1 = importEncryptionKey(raw(1), { alsoReads: [newKey] });
const keyOfStep2 = importEncryptionKey(raw(2), { alsoReads: [oldKey] });
const tableUnder = (key: EncryptionKey) =>
  buildExtensionInstanceTable(buildEncryptedTextColumn(key));

const idOf = (row: number) => `instance ${row}`;
const secretOf = (row: number, version: number) => `secret ${row} version ${version}`;

/** A client of a database with rows under the old key. */
async function openFilled(url: string, count: number) {
  const client = postgres(url, { max: 2, onnotice: () => {} });
  await client.unsafe(extensionInstanceDdl);
  const rows = Array.from({ length: count }, (_, row) => row);
  const secrets = await Promise.all(rows.map((row) => oldKey.encrypt(secretOf(row, 0))));
  await client`
    INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
    SELECT id, 'p-abc123', true, '{}', secret
    FROM unnest(${rows.map(idOf)}::text[], ${secrets}::text[]) AS row (id, secret)`;
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

const ROWS = 20_000;
/** How many rows an application writes and reads at once. */
const LANES = 3;

/** The state of a row: versions certainly written, possibly written, and removals. */
const unwritten = () => ({ done: 0, begun: 0, removals: new Set<number>() });

/** A running application: writes and removes every second row, reads all rows and checks them. */
function startApplication(
  url: string,
  key: EncryptionKey,
  half: number,
  rows: readonly ReturnType<typeof unwritten>[],
) {
  const client = postgres(url, { max: 2 * LANES });
  const storage = new PgExtensionStorage(drizzle(client), tableUnder(key));
  const count = { writes: 0, reads: 0 };
  let stopped = false;
  const random = (below: number) => Math.floor(Math.random() * below);

  async function write(lane: number): Promise<void> {
    for (; !stopped; count.writes++) {
      // Nobody else writes this row.
      const row = 2 * (LANES * random(Math.floor(ROWS / 2 / LANES)) + lane) + half;
      const state = rows[row]!;
      const version = ++state.begun;
      const secret = secretOf(row, version);
      const chance = state.removals.has(state.done) ? 1 : Math.random();
      if (chance < 0.6) await storage.rotateSecret(idOf(row), secret);
      else if (chance < 0.75) {
        state.removals.add(version);
        await storage.removeInstance(idOf(row));
      } else {
        const instance = { contextId: "p-abc123", consentedScopes: [], secret };
        await storage.upsertExtension({ ...instance, extensionInstanceId: idOf(row) });
      }
      state.done = version;
    }
  }

  async function read(): Promise<void> {
    for (; !stopped; count.reads++) {
      const row = random(ROWS);
      const state = rows[row]!;
      const { done } = state;
      const secret = (await storage.getExtension(idOf(row)))?.secret;
      const versions = Array.from({ length: state.begun - done + 1 }, (_, index) => done + index);
      const possible = versions.map((version) =>
        state.removals.has(version) ? undefined : secretOf(row, version)
      );
      assert(possible.includes(secret ?? undefined), `${secret} is none of ${possible}`);
    }
  }

  const lanes = Array.from({ length: LANES }, (_, lane) => [write(lane), read()]);
  const work = Promise.all(lanes.flat()).finally(() => client.end());
  work.catch(() => {});
  return {
    count,
    async [Symbol.asyncDispose]() {
      stopped = true;
      await work;
    },
  };
}

Deno.test("re-encryption: applications at different steps read, write and remove meanwhile", async () => {
  await using database = await createDatabase();
  await using client = await openFilled(database.url, ROWS);
  const db = drizzle(client);
  const table = tableUnder(keyOfStep2);
  const rows = Array.from({ length: ROWS }, unwritten);
  {
    await using step2 = startApplication(database.url, keyOfStep2, 0, rows);
    {
      await using step1 = startApplication(database.url, keyOfStep1, 1, rows);
      const applications = [step1, step2];
      const atWork = async () => {
        const before = applications.map(({ count }) => ({ ...count }));
        await poll(() =>
          applications.every(({ count: { writes, reads } }, index) =>
            Math.min(writes - before[index]!.writes, reads - before[index]!.reads) > 50
          )
        );
      };
      await atWork();
      // Two at once, in batches that do not align.
      const runs = [100, 333].map((batchSize) => reencrypt(db, table, { batchSize }));
      await atWork();
      for (const { reencrypted, unreadable } of await Promise.all(runs)) {
        assertGreater(reencrypted, 0);
        assertEquals(unreadable, []);
      }
    }
    // The last application of step 1 has ended: step 3, while the other one continues.
    assertEquals((await reencrypt(db, table)).unreadable, []);
    const { secret } = await keyStatus(db, table);
    assertEquals([secret?.otherKey, secret?.unreadable, secret?.null], [0, 0, 0]);
  }
  const stored = await client`SELECT id, secret FROM extension_instance`;
  const secrets = new Map(
    await Promise.all(
      stored.map(async ({ id, secret }) => [id, await newKey.decrypt(secret)] as const),
    ),
  );
  for (const [row, { done, removals }] of rows.entries()) {
    assertEquals(secrets.get(idOf(row)), removals.has(done) ? undefined : secretOf(row, done));
  }
});

Deno.test("re-encryption: the database disappears in the middle, and returns", async () => {
  await using server = await startServer();
  {
    await using _client = await openFilled(server.url, 100);
  }
  const pool = new pg.Pool({ connectionString: server.url, max: 1 });
  // The pool reports lost idle connections here; without a listener it would throw.
  pool.on("error", () => {});
  let decrypted = 0;
  const table = tableUnder({
    encrypt: (plaintext) => keyOfStep2.encrypt(plaintext),
    isCurrent: (ciphertext) => keyOfStep2.isCurrent!(ciphertext),
    async decrypt(ciphertext) {
      if (++decrypted === 50) await server.stop();
      return await keyOfStep2.decrypt(ciphertext);
    },
  });
  try {
    const scanned: number[] = [];
    const onProgress = (progress: { scanned: number }) => scanned.push(progress.scanned);
    const run = () => reencrypt(drizzleNodePostgres(pool), table, { batchSize: 20, onProgress });
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

Deno.test("re-encryption: a database that lacks functions of PostgreSQL", async () => {
  await using context = await drivers["postgres.js"]();
  const { sql } = context;
  const db = context.open();
  const secret = buildEncryptedTextColumn(keyOfStep2);
  const ciphertext = await oldKey.encrypt("x");
  const keys = [
    ["integer", integer(), "id"],
    ["uuid", uuid(), "md5(id::text)::uuid"],
    ["varchar", varchar({ length: 36 }), "id"],
    [
      "timestamptz",
      timestamp({ withTimezone: true }),
      "'2024-01-01Z'::timestamptz + id * interval '1 us'",
    ],
  ] as const;
  const without = [
    ["row_security_active(text)", "row_security_active(oid)"],
    [`pg_typeof("any")`],
  ];
  for (const functions of without) {
    for (const each of functions) await sql(`ALTER FUNCTION ${each} RENAME TO missing`);
    for (const [type, column, id] of keys) {
      await sql(`
        DROP TABLE IF EXISTS item; CREATE TABLE item (id ${type} PRIMARY KEY, secret text);
        INSERT INTO item SELECT ${id}, '${ciphertext}' FROM generate_series(1, 5) AS id`);
      const table = pgTable("item", { id: column.primaryKey(), secret: secret() });
      const { scanned, reencrypted } = await reencrypt(db, table, { batchSize: 2 });
      assertEquals([type, scanned, reencrypted], [type, 5, 5]);
    }
  }
  // This missing function is needed.
  await sql("DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY)");
  const table = pgTable("item", { id: integer().primaryKey(), secret: secret() });
  const run = () => keyStatus(db, table);
  await assertRejects(run, StorageError, "a column of the table does not exist");
});

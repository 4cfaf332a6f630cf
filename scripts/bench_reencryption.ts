/**
 * `deno task bench:reencrypt [ROWS…]`: re-encrypts tables of growing size in a throwaway PostgreSQL, and
 * shows that the rate holds and the memory stays flat. Figures mean something only relative to each other.
 *
 * With a URL as its one argument it is the process that is measured.
 *
 * @module
 */
import { integer, pgTable } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { buildEncryptedTextColumn, importEncryptionKey } from "../pg/encryption.ts";
import { keyStatus, reencrypt } from "../pg/reencryption.ts";
import { fromFileUrl, join, repository } from "./lib/paths.ts";
import { startServer } from "./lib/postgres_server.ts";

const DEFAULT_SIZES = [10_000, 100_000, 1_000_000];

/** As many secrets are made; the rows repeat them. */
const SECRETS = 1_000;

const oldKey = importEncryptionKey(new Uint8Array(32).fill(1));
const newKey = importEncryptionKey(new Uint8Array(32).fill(2), { alsoReads: [oldKey] });
const items = pgTable("item", {
  id: integer().primaryKey(),
  secret: buildEncryptedTextColumn(newKey)(),
});

interface Measurement {
  /** Rows per second. */
  readonly reencryption: number;
  readonly status: number;
  /** Resident memory at its highest, in bytes. */
  readonly memory: number;
}

async function measure(url: string): Promise<Measurement> {
  const client = postgres(url, { max: 1 });
  const db = drizzle(client);
  let memory = 0;
  const start = performance.now();
  const report = await reencrypt(db, items, {
    onProgress: () => memory = Math.max(memory, Deno.memoryUsage().rss),
  });
  const middle = performance.now();
  const { secret } = await keyStatus(db, items);
  const end = performance.now();
  memory = Math.max(memory, Deno.memoryUsage().rss);
  await client.end();
  if (report.reencrypted !== report.total || secret?.current !== report.total) {
    throw new Error(`Re-encrypting ${report.total} rows: ${secret?.current} are current`);
  }
  const rate = (milliseconds: number) => report.total / milliseconds * 1_000;
  return { reencryption: rate(middle - start), status: rate(end - middle), memory };
}

async function fill(url: string, rows: number): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  const secrets = await Promise.all(
    Array.from({ length: SECRETS }, () => oldKey.encrypt(crypto.randomUUID())),
  );
  await client`DROP TABLE IF EXISTS item`;
  await client`CREATE TABLE item (id int PRIMARY KEY, secret text)`;
  await client`
    INSERT INTO item SELECT id, (${secrets}::text[])[1 + id % ${SECRETS}::int]
    FROM generate_series(1, ${rows}::int) AS id`;
  await client`VACUUM ANALYZE item`;
  await client.end();
}

async function run(sizes: readonly number[]): Promise<void> {
  await using server = await startServer();
  let first: Measurement | undefined;
  console.log(
    "     rows    re-encrypted/s  relative    counted/s  relative   peak memory  relative",
  );
  for (const rows of sizes) {
    await fill(server.url, rows);
    // A process for each, so that no size profits from the memory of another.
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        `--config=${join(repository, "deno.json")}`,
        fromFileUrl(import.meta.url),
        server.url,
      ],
      stdin: "null",
      stderr: "inherit",
    }).output();
    if (!success) throw new Error(`Measuring ${rows} rows: the process failed`);
    const now: Measurement = JSON.parse(new TextDecoder().decode(stdout));
    first ??= now;
    const relative = (name: keyof Measurement) => (now[name] / first![name]).toFixed(2).padStart(8);
    const number = (value: number, width: number) =>
      Math.round(value).toLocaleString("en-US").padStart(width);
    console.log(
      [
        number(rows, 9),
        number(now.reencryption, 16),
        relative("reencryption"),
        number(now.status, 11),
        relative("status"),
        `${number(now.memory / 2 ** 20, 8)} MiB`,
        relative("memory"),
      ].join("  "),
    );
  }
}

const [url] = Deno.args;
if (url?.startsWith("postgres://")) {
  console.log(JSON.stringify(await measure(url)));
} else {
  const sizes = Deno.args.length > 0 ? Deno.args.map(Number) : DEFAULT_SIZES;
  if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0)) {
    console.error("Usage: deno task bench:reencrypt [ROWS…]");
    Deno.exit(2);
  }
  await run(sizes);
}

/**
 * The databases: one for each number of instances, made and filled when it is first needed.
 *
 * @module
 */
// @ts-types="@types/pg"
import pg from "pg";
import { extensionInstanceDdl } from "../../tests/support/extension_instance.ts";
import { createDatabase } from "../../tools/postgres/databases.ts";
import { deriveKey, encrypt } from "./contestants/bare_crypto.ts";
import { secretOf, SECRETS } from "./contestants/data.ts";
import { NOTES } from "./contestants/tables.ts";

/** Rows of the table of items. */
const ITEMS = 10_000;

const OTHER_TABLES = `
  CREATE TABLE extension_instance_last_event (
    instance_id varchar(36) PRIMARY KEY NOT NULL,
    kind text NOT NULL,
    created_at timestamptz NOT NULL,
    request_ids text[] NOT NULL DEFAULT '{}',
    called_at timestamptz
  );
  CREATE TABLE item (id int PRIMARY KEY, secret text);
  CREATE TABLE inserted (id int PRIMARY KEY, secret text);
  CREATE TABLE note (id int PRIMARY KEY, body text);
  CREATE TABLE reencrypted (id int PRIMARY KEY, secret text);`;

/** See above. */
export class Databases {
  readonly #urls = new Map<number, Promise<string>>();
  readonly #secrets = (async () => {
    const key = await deriveKey();
    return await Promise.all(
      Array.from({ length: SECRETS }, (_, number) => encrypt(key, secretOf(number))),
    );
  })();

  /** The database with so many instances. */
  url(instances: number): Promise<string> {
    const known = this.#urls.get(instances) ?? this.#create(instances);
    this.#urls.set(instances, known);
    return known;
  }

  /** Cleans up what earlier rows left behind; the server does not do it by itself. */
  async settle(url: string): Promise<void> {
    await query(url, "VACUUM ANALYZE");
  }

  /** Fills the table that is re-encrypted, with values of the old key. */
  async fillReencrypted(url: string, rows: number): Promise<void> {
    await query(url, "TRUNCATE reencrypted");
    await query(
      url,
      `INSERT INTO reencrypted SELECT id, ($1::text[])[1 + id % ${SECRETS}]
       FROM generate_series(1, $2::int) AS id`,
      [await this.#secrets, rows],
    );
    await this.settle(url);
  }

  async #create(instances: number): Promise<string> {
    const { url } = await createDatabase();
    const secrets = await this.#secrets;
    await query(url, extensionInstanceDdl + OTHER_TABLES);
    await query(
      url,
      `INSERT INTO extension_instance
         (id, "contextId", active, consented_scopes, secret)
       SELECT '00000000-0000-4000-8000-' || lpad(id::text, 12, '0'), 'a context', true,
         '{project:read}', ($1::text[])[1 + id % ${SECRETS}]
       FROM generate_series(0, $2::int - 1) AS id`,
      [secrets, instances],
    );
    await query(
      url,
      `INSERT INTO item SELECT id, ($1::text[])[1 + id % ${SECRETS}]
       FROM generate_series(1, ${ITEMS}) AS id`,
      [secrets],
    );
    await query(
      url,
      `INSERT INTO note SELECT id, 'note ' || id FROM generate_series(0, ${NOTES} - 1) AS id`,
    );
    return url;
  }
}

async function query(url: string, text: string, values?: unknown[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text, values);
  } finally {
    await client.end();
  }
}

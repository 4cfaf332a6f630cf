/**
 * Looks at the tables past the contestants, between what is measured.
 *
 * @module
 */
import type pg from "pg";
import { decrypt, deriveKey } from "./bare_crypto.ts";
import { instanceId, POOL, secretOf } from "./data.ts";

/** Sees to it that nobody measures a failure, or a connection's first sight of a table. */
export class Inspection {
  readonly #pool: pg.Pool;
  readonly #key = deriveKey();
  #warmed: Promise<void> | undefined;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /**
   * Has every connection read the whole table of instances through its index, once. The first access to a page costs
   * a connection far more than later ones, and in a large table nearly all would be the first.
   */
  warm(): Promise<void> {
    return this.#warmed ??= this.#readEverywhere();
  }

  /** Empties the tables that webhooks are stored in. */
  async clear(...tables: readonly string[]): Promise<void> {
    await this.#pool.query(`TRUNCATE ${tables.join()}`);
  }

  /** The table holds so many rows. */
  async count(table: string, expected: number): Promise<void> {
    const { rows } = await this.#pool.query(`SELECT count(*)::int AS count FROM ${table}`);
    if (rows[0].count !== expected) {
      throw new Error(`Checking ${table}: it has ${rows[0].count} rows, not ${expected}`);
    }
  }

  /** An instance's secret was written with this stamp. */
  async secret(number: number, stamp: string): Promise<void> {
    const { secret } = await this.#instance(number);
    if (await decrypt(await this.#key, secret) !== secretOf(number, stamp)) {
      throw new Error(`Checking instance ${number}: it has another secret`);
    }
  }

  /** An instance's scopes were written with this stamp. */
  async scopes(number: number, stamp: string): Promise<void> {
    const { consented_scopes } = await this.#instance(number);
    if (consented_scopes.at(-1) !== stamp) {
      throw new Error(`Checking instance ${number}: it has other scopes`);
    }
  }

  /** An inserted item has this secret. */
  async item(id: number, expected: string): Promise<void> {
    const { rows } = await this.#pool.query("SELECT secret FROM inserted WHERE id = $1", [id]);
    if (await decrypt(await this.#key, rows[0]?.secret ?? "") !== expected) {
      throw new Error(`Checking item ${id}: it has another secret`);
    }
  }

  async #instance(number: number) {
    const { rows } = await this.#pool.query(
      "SELECT secret, consented_scopes FROM extension_instance WHERE id = $1",
      [instanceId(number)],
    );
    if (rows.length !== 1) throw new Error(`Checking instance ${number}: it is not stored`);
    return rows[0];
  }

  async #readEverywhere(): Promise<void> {
    const connections = Array.from({ length: POOL.max }, () => this.#pool.connect());
    for (const client of await Promise.all(connections)) {
      await client.query("SET enable_seqscan = off; SET enable_bitmapscan = off");
      await client.query("SELECT count(secret) FROM extension_instance WHERE id >= ''");
      await client.query("RESET ALL");
      client.release();
    }
  }
}

/**
 * The database and the values with which targets show that they read each other.
 *
 * @module
 */
import postgres from "postgres";
import { extensionInstanceDdl } from "../../tests/support/extension_instance.ts";

/** Values by the name of their key; the suite writes them. */
type Values = Readonly<Record<string, string>>;

/**
 * Written by the original package, 0.1.0, under "master password" and "salt": what the suite writes under the
 * name "the original".
 */
const BY_THE_ORIGINAL: Values = {
  scrypt:
    "cwPgJldrcIXq87Gh:j9tR2CVz16c9kbQhndYrRuGh5qLfSPlZI2/fJtIU9XG3gc5fbHZO:PBavM5oPjS/exIzL9WqLVA==",
  row: "t7YJjZiEknc9Tb2W:lPhgYLsPFFAMd+D/+TRCwJaKpQaCuczN5WeMjW41RKYHdw==:pCwClErC5r3XxUyLqvwGUA==",
};

/** See above. */
export class Interop {
  /** What was written, by the target that did. */
  readonly values: Record<string, Values> = {};

  private constructor(
    /** URL of a database with a row of each target. */
    readonly url: string,
  ) {}

  /** @param url URL of an empty database. */
  static async open(url: string): Promise<Interop> {
    const interop = new Interop(url);
    await interop.#query((sql) => sql.unsafe(extensionInstanceDdl));
    await interop.add("the original", BY_THE_ORIGINAL);
    return interop;
  }

  /** Takes what a target wrote, and makes its row if it reached no database. */
  async add(writer: string, values: Values): Promise<void> {
    this.values[writer] = values;
    await this.#query((sql) =>
      sql`
        INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
        VALUES (${writer}, 'p-abc123', true, '{}', ${values["row"]!}) ON CONFLICT DO NOTHING`
    );
  }

  async #query(query: (sql: postgres.Sql) => PromiseLike<unknown>): Promise<void> {
    const sql = postgres(this.url, { max: 1, onnotice: () => {} });
    try {
      await query(sql);
    } finally {
      await sql.end();
    }
  }
}

/**
 * The database and the values with which targets show that they read each other.
 *
 * @module
 */
import postgres from "postgres";
import { extensionInstanceDdl } from "../../tests/support/extension_instance.ts";

/** Values by the name of their key, and under `row` the secret of a row. */
type Values = Readonly<Record<string, string>>;

/** Written by the original package, 0.1.0, under "master password" and "salt". */
const BY_THE_ORIGINAL: Values = {
  scrypt:
    "cwPgJldrcIXq87Gh:j9tR2CVz16c9kbQhndYrRuGh5qLfSPlZI2/fJtIU9XG3gc5fbHZO:PBavM5oPjS/exIzL9WqLVA==",
  row: "t7YJjZiEknc9Tb2W:lPhgYLsPFFAMd+D/+TRCwJaKpQaCuczN5WeMjW41RKYHdw==:pCwClErC5r3XxUyLqvwGUA==",
};

/** Runs SQL on a database. */
export async function runSql(
  url: string,
  statements: string,
  parameters: string[] = [],
): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(statements, parameters);
  } finally {
    await sql.end();
  }
}

/** See above. */
export class Interop {
  /** What was written, by the target that did. */
  readonly values: Record<string, Values> = {};

  /** @param url A database with the row of each target. */
  constructor(readonly url: string) {}

  /** Prepares it. */
  async open(): Promise<this> {
    await runSql(this.url, extensionInstanceDdl);
    await this.add("the original", BY_THE_ORIGINAL);
    return this;
  }

  /** Takes what a target wrote, and makes its row if it reached no database. */
  async add(writer: string, values: Values): Promise<void> {
    this.values[writer] = values;
    const insert = `
      INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
      VALUES ($1, 'p-abc123', true, '{}', $2) ON CONFLICT DO NOTHING`;
    await runSql(this.url, insert, [writer, values["row"]!]);
  }
}

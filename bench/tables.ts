import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import * as pg from "../pg/mod.ts";
import { deriveKey, encrypt } from "../tools/bare_cipher.ts";
import { PASSWORD, SALT, secretOf } from "./contestants/common.ts";

/** Creates tables in which 1,000 secrets repeat. */
export async function tables(reencrypted: number): Promise<string> {
  const key = deriveKey(PASSWORD, SALT);
  const secrets = Array.from({ length: 1_000 }, (_, number) => encrypt(key, secretOf(number)));
  const column = pg.buildEncryptedTextColumn(pg.importEncryptionKey(new Uint8Array(32)));
  const ours = [pg.context, pg.buildExtensionInstanceTable(column), pg.buildLastEventTable()];
  const schema = generateDrizzleJson({ ...ours });
  return `${(await generateMigration(generateDrizzleJson({}), schema)).join("\n")}
    CREATE TABLE secret AS SELECT secret, (number - 1)::int AS number
      FROM unnest('{${secrets}}'::text[]) WITH ORDINALITY AS _ (secret, number);
    INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
      SELECT '00000000-0000-4000-8000-' || lpad(number::text, 12, '0'), '', true, '{}', secret
      FROM secret;
    CREATE TABLE reencrypted AS SELECT id, secret
      FROM generate_series(1, ${reencrypted}) AS id JOIN secret ON number = id % 1000;
    CREATE TABLE item AS SELECT * FROM reencrypted WHERE id <= 10000;
    CREATE TABLE note AS SELECT number AS id, 'note ' || number AS body FROM secret;
    CREATE TABLE inserted (id int PRIMARY KEY, secret text);
    ALTER TABLE reencrypted ADD PRIMARY KEY (id);
    ALTER TABLE item ADD PRIMARY KEY (id);
    ALTER TABLE note ADD PRIMARY KEY (id);
    ANALYZE`;
}

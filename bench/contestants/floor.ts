/** A bare cipher and hand-written SQL: the lower bound. */

import { Buffer } from "node:buffer";
import { decrypt, deriveKey, encrypt } from "../../tools/bare_cipher.ts";
import { type Item, PASSWORD, SALT } from "./common.ts";
import { start } from "./serve.ts";

const UPSERT = `
  INSERT INTO extension_instance
    (id, "contextId", context, active, variant_key, consented_scopes, secret, "createdAt", "updatedAt")
  VALUES ($1, $2, 'project', true, null, $3, $4, $5, $5)
  ON CONFLICT (id) DO UPDATE SET
    ("contextId", context, active, variant_key, consented_scopes, secret, "updatedAt") =
    ($2, 'project', true, null, $3, $4, $5)`;
const ROTATE = `UPDATE extension_instance SET secret = $2, "updatedAt" = $3 WHERE id = $1`;
const UPDATE = `UPDATE extension_instance
  SET ("contextId", active, variant_key, consented_scopes, "updatedAt") = ($2, $3, null, $4, $5)
  WHERE id = $1`;

const key = deriveKey(PASSWORD, SALT);

await start((pool, publicKey) => {
  const bytes = Buffer.from(publicKey, "base64");
  const verifying = crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
  const now = () => new Date().toISOString();
  const upsert = (id: string, contextId: string, scopes: string[], secret: string) =>
    pool.query(UPSERT, [id, contextId, scopes, encrypt(key, secret), now()]);
  const read = async (query: string, value: number): Promise<Item[]> => {
    const { rows } = await pool.query<Item>(query, [value]);
    return rows.map(({ id, secret }) => ({ id, secret: decrypt(key, secret!) }));
  };
  return {
    async handle(request) {
      const signature = Buffer.from(request.headers.get("X-Marketplace-Signature")!, "base64");
      const body = new Uint8Array(await request.arrayBuffer());
      const isSigned = await crypto.subtle.verify("Ed25519", await verifying, signature, body);
      if (!isSigned) return new Response(null, { status: 401 });
      const { id, context, consentedScopes, secret } = JSON.parse(new TextDecoder().decode(body));
      await upsert(id, context.id, consentedScopes, secret);
      return new Response();
    },
    upsert: ({ extensionInstanceId, contextId, consentedScopes, secret }) =>
      upsert(extensionInstanceId, contextId, consentedScopes, secret),
    rotate: ({ extensionInstanceId, secret }) =>
      pool.query(ROTATE, [extensionInstanceId, encrypt(key, secret), now()]),
    update: ({ extensionInstanceId, contextId, enabled, consentedScopes }) =>
      pool.query(UPDATE, [extensionInstanceId, contextId, enabled, consentedScopes, now()]),
    async get({ extensionInstanceId: id }) {
      const { rows } = await pool.query("SELECT * FROM extension_instance WHERE id = $1", [id]);
      return decrypt(key, rows[0].secret);
    },
    select: (rows) => read("SELECT id, secret FROM item WHERE id <= $1 ORDER BY id", rows),
    selectOne: (id) => read("SELECT id, secret FROM item WHERE id = $1", id),
    insert(items) {
      const rows = items.map((_, index) => `($${2 * index + 1}, $${2 * index + 2})`);
      const values = items.flatMap(({ id, secret }) => [id, encrypt(key, secret!)]);
      return pool.query(`INSERT INTO inserted (id, secret) VALUES ${rows.join()}`, values);
    },
    selectPlain: async (id) =>
      (await pool.query("SELECT id, body FROM note WHERE id = $1", [id])).rows,
  };
});

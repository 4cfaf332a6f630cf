/**
 * What storing a webhook takes at least: Web Crypto and one hand-written statement.
 *
 * @module
 */
// @ts-types="@types/pg"
import pg from "pg";
import { decrypt, deriveKey, encrypt, fromBase64 } from "./bare_crypto.ts";
import { instanceOf, newStamp, POOL, randomNumbers } from "./data.ts";
import { createSigner, importPublicKey, requestOf, signedDeliveries } from "./deliveries.ts";
import { Inspection } from "./inspection.ts";
import { readJob, serve, type Workload } from "./serve.ts";

const STATEMENT = `
  INSERT INTO extension_instance
    (id, "contextId", context, active, variant_key, consented_scopes, secret, "createdAt", "updatedAt")
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  ON CONFLICT (id) DO UPDATE SET
    "contextId" = excluded."contextId", context = excluded.context, active = excluded.active,
    variant_key = excluded.variant_key, consented_scopes = excluded.consented_scopes,
    secret = excluded.secret, "updatedAt" = excluded."updatedAt"`;

const { url, instances } = readJob();
const pool = new pg.Pool({ connectionString: url, ...POOL });
const inspection = new Inspection(pool);
const key = await deriveKey();
const signer = await createSigner();
const publicKey = await importPublicKey(signer.publicKey);

interface Instance {
  readonly id: string;
  readonly contextId: string;
  readonly consentedScopes: readonly string[];
  readonly secret: string;
}

async function verify(
  signature: Uint8Array<ArrayBuffer>,
  body: Uint8Array<ArrayBuffer>,
): Promise<void> {
  if (!await crypto.subtle.verify("Ed25519", publicKey, signature, body)) {
    throw new Error("Verifying a signature: it is wrong");
  }
}

async function store(instance: Instance): Promise<void> {
  const { id, contextId, consentedScopes } = instance;
  const secret = await encrypt(key, instance.secret);
  const now = new Date().toISOString();
  await pool.query(STATEMENT, [
    id,
    contextId,
    "project",
    true,
    null,
    consentedScopes,
    secret,
    now,
    now,
  ]);
}

function webhooks(
  prepare: (
    delivery: { body: string; signature: string },
    number: number,
    stamp: string,
  ) => () => Promise<unknown>,
): Workload {
  return async (count) => {
    await inspection.clear("extension_instance");
    const stamp = newStamp();
    const deliveries = await signedDeliveries(signer, count, stamp);
    const runs = deliveries.map((delivery, number) => prepare(delivery, number, stamp));
    return {
      run: (index) => runs[index]!(),
      async check() {
        await inspection.count("extension_instance", count);
        await inspection.secret(count - 1, stamp);
      },
    };
  };
}

/** On random instances, as the workloads of the storages are. */
function calls(run: (id: string, rest: Omit<Instance, "id">) => Promise<void>): Workload {
  return async (count) => {
    await inspection.warm();
    const stamp = newStamp();
    const given = randomNumbers(count, instances).map((number) => instanceOf(number, stamp));
    return {
      async run(index) {
        const { extensionInstanceId: id, ...rest } = given[index]!;
        await run(id, rest);
      },
    };
  };
}

await serve({
  /** Bytes and fields lie ready: a check, an encryption, a statement, and nothing else. */
  webhook: webhooks((delivery, number, stamp) => {
    const body = new TextEncoder().encode(delivery.body);
    const signature = fromBase64(delivery.signature);
    const { extensionInstanceId: id, ...rest } = instanceOf(number, stamp);
    return async () => {
      await verify(signature, body);
      await store({ id, ...rest });
    };
  }),
  /** The same out of a `Request`, which every handler has to read. */
  webhookRequest: webhooks((delivery) => {
    const request = requestOf(signer, delivery);
    return async () => {
      const signature = fromBase64(request.headers.get("X-Marketplace-Signature")!);
      const body = new Uint8Array(await request.arrayBuffer());
      await verify(signature, body);
      const { id, context, consentedScopes, secret } = JSON.parse(new TextDecoder().decode(body));
      await store({ id, contextId: context.id, consentedScopes, secret });
      return new Response();
    };
  }),
  upsertExtension: calls((id, rest) => store({ id, ...rest })),
  getExtension: calls(async (id) => {
    const { rows } = await pool.query("SELECT * FROM extension_instance WHERE id = $1", [id]);
    await decrypt(key, rows[0].secret);
  }),
});

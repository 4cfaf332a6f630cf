/** Deliveries, taken and refused, and access tokens: what they answer, log, report and throw. */

import { assertEquals } from "@std/assert";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { BusyError, HandlerFailedError } from "../../errors.ts";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  PgExtensionStorage,
} from "../../pg/mod.ts";
import { InstanceTokens } from "../../tokens/mod.ts";
import { verifyWebhook } from "../../webhooks/mod.ts";
import { CANARY_LENGTH } from "../support/canaries.ts";
import { disclosed } from "../support/disclosed.ts";
import { lastEvents } from "../support/extension_instance.ts";
import {
  ago,
  createSigner,
  DRY_RUN_URL,
  encode,
  EXTENSION_ID,
  payload,
  Receiver,
  requestOf,
  signatureHeaders,
  URL_OF_WEBHOOK,
} from "../webhooks/support.ts";
import { CANARIES, CONTROL, type Evidence } from "./evidence.ts";

const { secret, rotatedSecret, masterPassword, salt } = CANARIES;

/** Delivers to a handler whose storage is the database. */
export async function deliverWebhooks(evidence: Evidence, url: string): Promise<void> {
  const client = postgres(url, { max: 2, onnotice: () => {} });
  const instances = buildExtensionInstanceTable(
    buildEncryptedTextColumn(buildEncryptionKey(masterPassword, salt)),
  );
  const storage = new PgExtensionStorage(drizzle(client), instances, { lastEvents });
  const receivers: Receiver[] = [];
  const receiver = async (options: Parameters<typeof Receiver.create>[0] = {}) => {
    const created = await Receiver.create({ storage, ...options });
    receivers.push(created);
    return created;
  };
  const added = (changes = {}) =>
    payload("ExtensionAddedToContext", { id: CONTROL, secret, ...changes });
  try {
    const usual = await receiver();
    const { signer } = usual;
    const expect = async (code: string, answer: ReturnType<Receiver["deliver"]>) =>
      assertEquals((await answer).answer.code, code);

    await expect("STORED", usual.deliver(added()));
    const rotated = payload("SecretRotated", { id: CONTROL, secret: rotatedSecret });
    await expect("STORED", usual.deliver(rotated));
    await expect("DRY_RUN", usual.deliver(added({ id: "new" }), { url: DRY_RUN_URL }));
    await expect("ERR_NO_DRY_RUN", usual.deliver(added(), { url: DRY_RUN_URL }));
    await expect("ERR_STALE_EVENT", usual.deliver(added(requestOf(ago(86_400_000)))));
    await expect(
      "ERR_UNKNOWN_INSTANCE",
      usual.deliver(payload("SecretRotated", { id: "nobody", secret })),
    );
    await expect("ERR_STORAGE_FAILED", usual.deliver(added({ variantKey: "refused" })));
    // V8's message quotes ten characters around what it does not expect.
    const notJson = `{"secret":#${secret.slice(-CANARY_LENGTH)}}`;
    await expect("ERR_BODY_INVALID", usual.deliver(notJson));
    await expect("ERR_BODY_INVALID", usual.deliver(added({ secret: { secret } })));
    await expect("ERR_BODY_INVALID", usual.deliver(added({ consentedScopes: secret })));
    await expect("ERR_UNKNOWN_KIND", usual.deliver(added({ kind: "SecretForgotten" })));
    await expect("ERR_WRONG_EXTENSION", usual.deliver(added({ meta: { extensionId: "other" } })));
    await expect(
      "ERR_DELIVERY_IN_FUTURE",
      usual.deliver(added(requestOf("9999-01-01T00:00:00Z"))),
    );
    await expect(
      "ERR_DELIVERY_TOO_OLD",
      (await receiver({ maxAgeMs: 60_000 })).deliver(added(requestOf(ago(3_600_000)))),
    );

    const bytes = encode(added());
    const stranger = await createSigner(signer.serial);
    const headers = await signer.headers(bytes);
    await expect("ERR_SIGNATURE_INVALID", usual.send(bytes, await stranger.headers(bytes)));
    const unknown = await createSigner(secret);
    await expect("ERR_SIGNATURE_INVALID", usual.send(bytes, await unknown.headers(bytes)));
    await expect(
      "ERR_SIGNATURE_MALFORMED",
      usual.send(bytes, signatureHeaders(signer.serial, secret)),
    );
    await expect("ERR_METHOD", usual.send(null, headers, { method: "GET" }));
    await expect(
      "ERR_BODY_TOO_LARGE",
      (await receiver({ maxBodyBytes: 100 })).send(bytes, headers),
    );
    const keysThat = async (error: Error) =>
      (await receiver({ publicKeys: { getPublicKey: () => Promise.reject(error) } })).deliver(
        bytes,
      );
    await expect("ERR_BUSY", keysThat(new BusyError("its turn did not come")));
    await expect("ERR_PUBLIC_KEY_UNAVAILABLE", keysThat(new Error("the network is down")));
    const never = new Promise<never>(() => {});
    const stuck = Object.create(storage, { upsertExtension: { value: () => never } });
    await expect(
      "ERR_DEADLINE_EXCEEDED",
      (await receiver({ storage: stuck, timeoutMs: 50 })).deliver(added()),
    );
    const handlers = [{ handleWebhook: () => Promise.reject(new Error("the handler is broken")) }];
    await expect("ERR_HANDLER_FAILED", (await receiver({ handlers })).deliver(added()));

    const { handler } = usual;
    evidence.add("inspected objects", disclosed(handler), disclosed(new HandlerFailedError(1)));
    await verify(evidence, bytes, headers, stranger.publicKey);
  } finally {
    await client.end();
  }
  for (const { answers, log, errors, details } of receivers) {
    evidence.add("webhook handler's log", ...log);
    evidence.add("webhook handler's answers", ...answers);
    errors.forEach((error) => evidence.addError(error));
    evidence.add("webhook handler's reports", ...details.map(disclosed));
  }
}

/** The check alone. */
async function verify(
  evidence: Evidence,
  body: Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
  otherKey: string,
): Promise<void> {
  const options = { extensionId: EXTENSION_ID, publicKeys: { getPublicKey: () => otherKey } };
  const request = (init: RequestInit) => new Request(URL_OF_WEBHOOK, { method: "POST", ...init });
  await evidence.fails(
    "ERR_SIGNATURE_INVALID",
    () => verifyWebhook(request({ body, headers }), options),
  );
  await evidence.fails("ERR_SIGNATURE_MALFORMED", () => verifyWebhook(request({ body }), options));
  await evidence.fails("ERR_METHOD", () => verifyWebhook(new Request(URL_OF_WEBHOOK), options));
  await evidence.fails(
    "ERR_BODY_TOO_LARGE",
    () => verifyWebhook(request({ body, headers }), { ...options, maxBodyBytes: 10 }),
  );
  const busy = { getPublicKey: () => Promise.reject(new BusyError("its turn did not come")) };
  await evidence.fails(
    "ERR_BUSY",
    () => verifyWebhook(request({ body, headers }), { ...options, publicKeys: busy }),
  );
}

/** Exchanges the secret with APIs that do not behave, and quote what they were sent. */
export async function exchangeTokens(evidence: Evidence): Promise<void> {
  const storage = { getExtension: () => Promise.resolve({ secret }) };
  const tokensOf = (answer: (body: string) => Response | Promise<Response>, timeoutMs = 200) =>
    new InstanceTokens({
      storage,
      timeoutMs,
      fetch: async (_, init) => await answer(String(init?.body)),
    });
  const get = (tokens: InstanceTokens) => () => tokens.get("instance-1");

  const expiry = new Date(Date.now() + 3_600_000);
  const kept = tokensOf(() => Response.json({ publicToken: rotatedSecret, expiry }), 10_000);
  assertEquals(await kept.get("instance-1"), rotatedSecret);
  evidence.add("inspected objects", disclosed(kept), disclosed({ control: CONTROL }));

  await evidence.fails(
    "ERR_SECRET_REFUSED",
    get(tokensOf((body) => new Response(body, { status: 403, statusText: "no" }))),
  );
  const unusable: ((body: string) => Response | Promise<Response>)[] = [
    (body) => new Response(body, { status: 500 }),
    (body) => new Response(body),
    (body) => new Response(`${body}}`),
    (body) => Response.json({ publicToken: `${body}\n`, expiry }),
    (body) => Response.json({ publicToken: "token", expiry: body }),
    (body) => new Response(body.repeat(2_000)),
    (body) => Response.redirect(`https://elsewhere.example/?${encodeURIComponent(body)}`, 307),
    () => Promise.reject(new TypeError("the network is down")),
    () => new Promise<never>(() => {}),
    () =>
      new Response(new ReadableStream({ start: (stream) => stream.error(new Error("broken")) })),
  ];
  for (const answer of unusable) {
    await evidence.fails("ERR_TOKEN_UNAVAILABLE", get(tokensOf(answer)));
  }
  const nobody = new InstanceTokens({
    storage: { getExtension: () => Promise.resolve(undefined) },
  });
  await evidence.fails("ERR_UNKNOWN_INSTANCE", get(nobody));
}

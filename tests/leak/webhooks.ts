/** Deliveries, accepted and refused, and access tokens: answers, logs, reports and errors. */

import { assertEquals } from "@std/assert";
import { BusyError, HandlerFailedError } from "../../errors.ts";
import type { PgExtensionStorage } from "../../pg/mod.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { InstanceTokens } from "../../tokens/mod.ts";
import { verifyWebhook } from "../../webhooks/mod.ts";
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
import type { instances } from "./database.ts";
import { disclosed } from "./disclosed.ts";
import { CANARIES, CANARY_LENGTH, CONTROL, type Evidence } from "./evidence.ts";

const { secret, rotatedSecret } = CANARIES;
const never = () => new Promise<never>(() => {});
const rejects = (error: Error) => () => Promise.reject(error);

type Sent = Parameters<Receiver["deliver"]>[0];
type Case = readonly [
  code: string,
  send: Sent | ((receiver: Receiver) => ReturnType<Receiver["send"]>),
  options?: Parameters<typeof Receiver.create>[0],
];

/** Delivers to a handler whose storage is the database. */
export async function deliverWebhooks(
  evidence: Evidence,
  storage: PgExtensionStorage<typeof instances>,
): Promise<void> {
  const added = (changes = {}) =>
    payload("ExtensionAddedToContext", { id: CONTROL, secret, ...changes });
  const rotated = (id: string) => payload("SecretRotated", { id, secret: rotatedSecret });
  const bytes = encode(added());
  const signer = await createSigner("serial-1");
  const headers = await signer.headers(bytes);
  const unknown = await (await createSigner(secret)).headers(bytes);
  const malformed = signatureHeaders("serial-1", secret);
  // V8's message quotes ten characters around the unexpected one.
  const notJson = `{"secret":#${secret.slice(-CANARY_LENGTH)}}`;
  const busy = { getPublicKey: rejects(new BusyError("too many others are asked for")) };
  const outage = { getPublicKey: rejects(new Error("the network is down")) };
  const stuck = Object.create(storage, { upsertExtension: { value: never } });
  const failed = new HandlerFailedError(new Error("the handler is broken"));
  const broken = Object.create(storage, { upsertExtension: { value: rejects(failed) } });
  const cases: Case[] = [
    ["STORED", added()],
    ["STORED", rotated(CONTROL)],
    ["DRY_RUN", (to) => to.deliver(added({ id: "new" }), { url: DRY_RUN_URL })],
    ["ERR_NO_DRY_RUN", (to) => to.deliver(added(), { url: DRY_RUN_URL })],
    ["ERR_STALE_EVENT", added(requestOf(ago(86_400_000)))],
    ["ERR_UNKNOWN_INSTANCE", rotated("nobody")],
    ["ERR_STORAGE_FAILED", added({ variantKey: "refused" })],
    ["ERR_BODY_INVALID", notJson],
    ["ERR_BODY_INVALID", added({ secret: { secret } })],
    ["ERR_BODY_INVALID", added({ consentedScopes: secret })],
    ["ERR_BODY_INVALID", added({ context: secret })],
    ["ERR_BODY_INVALID", added({ context: { id: CONTROL, kind: secret } })],
    ["ERR_BODY_INVALID", `{"secret":"${secret}"`],
    ["ERR_BODY_INVALID", `"${secret}"`],
    ["ERR_UNKNOWN_KIND", added({ kind: "SecretForgotten" })],
    ["ERR_WRONG_EXTENSION", added({ meta: { extensionId: "other" } })],
    ["ERR_DELIVERY_IN_FUTURE", added(requestOf("9999-01-01T00:00:00Z"))],
    ["ERR_DELIVERY_TOO_OLD", added(requestOf(ago(3_600_000))), { maxAgeMs: 60_000 }],
    ["ERR_SIGNATURE_INVALID", (to) => to.send(bytes, headers)], // by a stranger
    ["ERR_SIGNATURE_INVALID", (to) => to.send(bytes, unknown)],
    ["ERR_SIGNATURE_MALFORMED", (to) => to.send(bytes, malformed)],
    ["ERR_METHOD", (to) => to.send(null, headers, { method: "GET" })],
    ["ERR_BODY_TOO_LARGE", bytes, { maxBodyBytes: 100 }],
    ["ERR_BUSY", bytes, { publicKeys: busy }],
    ["ERR_PUBLIC_KEY_UNAVAILABLE", bytes, { publicKeys: outage }],
    ["ERR_DEADLINE_EXCEEDED", added(), { storage: stuck, timeoutMs: 50 }],
    ["ERR_HANDLER_FAILED", added(), { storage: broken }],
  ];
  for (const [code, send, options = {}] of cases) {
    const receiver = await Receiver.create({ storage, ...options });
    const { answer } = typeof send === "function"
      ? await send(receiver)
      : await receiver.deliver(send);
    assertEquals(answer.code, code);
    evidence.add("webhook handler's log", ...receiver.log);
    evidence.add("webhook handler's answers", ...receiver.answers);
    for (const error of receiver.errors) evidence.addError(error);
    evidence.add("webhook handler's reports", ...receiver.details.map(disclosed));
    evidence.inspect(receiver.handler, new HandlerFailedError(1));
  }

  const request = (init: RequestInit) => new Request(URL_OF_WEBHOOK, { method: "POST", ...init });
  const verify = (init: RequestInit, options = {}) => () =>
    verifyWebhook(request(init), {
      extensionId: EXTENSION_ID,
      publicKeys: { getPublicKey: () => signer.publicKey },
      ...options,
    });
  await evidence.fails("ERR_SIGNATURE_INVALID", verify({ body: encode("{}"), headers }));
  await evidence.fails("ERR_SIGNATURE_MALFORMED", verify({ body: bytes }));
  await evidence.fails("ERR_METHOD", verify({ method: "GET" }));
  await evidence.fails(
    "ERR_BODY_TOO_LARGE",
    verify({ body: bytes, headers }, { maxBodyBytes: 10 }),
  );
  await evidence.fails("ERR_BUSY", verify({ body: bytes, headers }, { publicKeys: busy }));
}

/** Exchanges the secret with misbehaving APIs that echo their requests. */
export async function exchangeTokens(evidence: Evidence): Promise<void> {
  type StoredInstance = { secret: string; active?: boolean };
  type Answer = (body: string) => Response | Promise<Response>;
  const tokensOf = (answer: Answer, timeoutMs: number, stored?: StoredInstance) =>
    new InstanceTokens({
      storage: { getExtension: () => Promise.resolve(stored) },
      timeoutMs,
      fetch: async (_, init) => await answer(String(init?.body)),
    });
  const get = (answer: Answer) => () => tokensOf(answer, 200, { secret }).get("instance-1");

  const expiry = new Date(Date.now() + 3_600_000);
  const valid = () => Response.json({ publicToken: rotatedSecret, expiry });
  const kept = tokensOf(valid, 10_000, { secret });
  assertEquals(await kept.get("instance-1"), rotatedSecret);
  evidence.inspect(kept);

  await evidence.fails(
    "ERR_SECRET_REFUSED",
    get((body) => new Response(body, { status: 403, statusText: "no" })),
  );
  const broken = () => new ReadableStream({ start: (it) => it.error(new Error("broken")) });
  const elsewhere = "https://elsewhere.example/?";
  const unusable: Answer[] = [
    (body) => new Response(body, { status: 500 }),
    (body) => new Response(body),
    (body) => new Response(`${body}}`),
    (body) => Response.json({ publicToken: `${body}\n`, expiry }),
    (body) => Response.json({ publicToken: "token", expiry: body }),
    (body) => new Response(body.repeat(2_000)),
    (body) => Response.redirect(elsewhere + encodeURIComponent(body), 307),
    rejects(new TypeError("the network is down")),
    never,
    () => new Response(broken()),
  ];
  await evidence.fails("ERR_TOKEN_UNAVAILABLE", ...unusable.map(get));
  await evidence.fails("ERR_UNKNOWN_INSTANCE", () => tokensOf(valid, 200).get("nobody"));
  await evidence.fails(
    "ERR_UNKNOWN_INSTANCE",
    get((body) => new Response(body, { status: 404, statusText: "no" })),
  );
  const inactive = tokensOf(valid, 200, { secret, active: false });
  await evidence.fails("ERR_INSTANCE_INACTIVE", () => inactive.get("instance-1"));
}

/** Deliveries of the simulated mStudio that fail. */
export async function failDeliveries(evidence: Evidence): Promise<void> {
  let answer: () => Response = Response.error;
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: async (request) => {
      const { kind } = await request.json();
      return kind === "InstanceRemovedFromContext" ? new Response() : answer();
    },
    backoff: { initialMs: 60_000, maxMs: 60_000 },
    maxAttempts: 2,
  });
  const instance = mstudio.instance({ secret });
  const event = mstudio.event("SecretRotated", { secret: rotatedSecret });
  await evidence.fails("ERR_NO_RESPONSE", () => mstudio.deliverOnce(event));
  answer = () => new Response(secret, { status: 500 });
  const dropped = instance.add();
  await Promise.all([evidence.fails("ERR_DROPPED", () => dropped), instance.remove()]);
  const single = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: answer,
    maxAttempts: 1,
  });
  await evidence.fails("ERR_GAVE_UP", () => single.addInstance({ secret }));
  await single.close();
  await evidence.fails("ERR_CLOSED", () => single.addInstance({ secret }));
  evidence.inspect(mstudio, instance, single);
}

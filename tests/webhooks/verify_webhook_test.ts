import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  BusyError,
  DeadlineExceededError,
  PublicKeyUnavailableError,
  SignatureInvalidError,
  SignatureMalformedError,
  verifyWebhook,
  type VerifyWebhookOptions,
  WebhookRequestError,
} from "../../webhooks/mod.ts";
import {
  createSigner,
  DRY_RUN_URL,
  encode,
  EXTENSION_ID,
  payload,
  SECRET,
  URL_OF_WEBHOOK,
  WELL_FORMED,
} from "./support.ts";

const signer = await createSigner("serial-1");
const options: VerifyWebhookOptions = {
  extensionId: EXTENSION_ID,
  publicKeys: { getPublicKey: () => signer.publicKey },
};

async function signed(body: Uint8Array<ArrayBuffer>, url = URL_OF_WEBHOOK): Promise<Request> {
  return new Request(url, { method: "POST", headers: await signer.headers(body), body });
}

Deno.test("verifyWebhook resolves to the typed event and exactly the body that was signed", async () => {
  const createdAt = "2026-08-01T12:00:00.000Z";
  const body = JSON.stringify(
    payload("ExtensionAddedToContext", {
      consentedScopes: null,
      request: { id: "request-7", createdAt },
      more: "ÄÖ\u2028",
    }),
    null,
    2,
  );
  assertEquals(await verifyWebhook(await signed(encode(body)), options), {
    event: {
      kind: "ExtensionAddedToContext",
      id: "instance-1",
      extensionId: EXTENSION_ID,
      createdAt: new Date(createdAt),
      requestId: "request-7",
      context: { id: "p-abc123", kind: "customer" },
      consentedScopes: [],
      enabled: true,
      variantKey: null,
      secret: SECRET,
    },
    rawBody: body,
    dryRun: false,
  });
  const removed = payload("ExtensionInstanceRemovedFromContext", { request: { createdAt } });
  assertEquals(await verifyWebhook(await signed(encode(removed), DRY_RUN_URL), options), {
    event: {
      kind: "InstanceRemovedFromContext",
      id: "instance-1",
      extensionId: EXTENSION_ID,
      createdAt: new Date(createdAt),
      requestId: undefined,
    },
    rawBody: JSON.stringify(removed),
    dryRun: true,
  });
});

Deno.test("verifyWebhook throws typed errors", async (t) => {
  const body = encode(payload("SecretRotated"));
  const request = (headers: Record<string, string>) =>
    new Request(URL_OF_WEBHOOK, { method: "POST", headers, body });
  const providerThat = (getPublicKey: () => Promise<string>) => ({
    ...options,
    publicKeys: { getPublicKey },
  });
  const cases: Record<string, [Request, VerifyWebhookOptions, new (...parts: never[]) => Error]> = {
    "no signature": [request({}), options, SignatureMalformedError],
    "forged": [request(WELL_FORMED), options, SignatureInvalidError],
    "another method": [new Request(URL_OF_WEBHOOK), options, WebhookRequestError],
    "not JSON": [await signed(encode("{")), options, WebhookRequestError],
    "another extension": [
      await signed(body),
      { ...options, extensionId: "another" },
      WebhookRequestError,
    ],
    "no key": [
      await signed(body),
      providerThat(() => Promise.reject(new Error("down"))),
      PublicKeyUnavailableError,
    ],
    "busy": [
      await signed(body),
      providerThat(() => Promise.reject(new BusyError("test"))),
      BusyError,
    ],
    "slow": [
      await signed(body),
      { ...providerThat(() => new Promise(() => {})), timeoutMs: 20 },
      DeadlineExceededError,
    ],
  };
  for (const [name, [request, options, errorClass]] of Object.entries(cases)) {
    await t.step(name, async () => {
      assertInstanceOf(await assertRejects(() => verifyWebhook(request, options)), errorClass);
    });
  }
});

Deno.test("verifyWebhook refuses wrong options, by name", async () => {
  const request = new Request(URL_OF_WEBHOOK);
  for (
    const [name, wrong] of [["extensionId", {}], ["extensionID", { extensionID: "x" }], [
      "storage",
      { ...options, storage: {} },
    ]] as const
  ) {
    await assertRejects(
      () => verifyWebhook(request, wrong as VerifyWebhookOptions),
      TypeError,
      name,
    );
  }
});

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodeBase64 } from "@std/encoding";
import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
import {
  SignatureVerificationHandler,
  type SignatureVerificationHandlerOptions,
  UnknownPublicKeyError,
} from "../../webhooks/mod.ts";
import { MemoryStorage } from "../support/memory_storage.ts";
import {
  createSigner,
  encode,
  EXTENSION_ID,
  payload,
  SECRET,
  signatureHeaders,
  URL_OF_WEBHOOK,
} from "./support.ts";

const signer = await createSigner("serial-1");
const known: SignatureVerificationHandlerOptions = {
  publicKeys: {
    getPublicKey(serial) {
      if (serial !== signer.serial) throw new UnknownPublicKeyError();
      return signer.publicKey;
    },
  },
};

/** mitthooks' wiring, with the check in front. */
function wiring(options: SignatureVerificationHandlerOptions = known) {
  const storage = new MemoryStorage();
  const wrapper = new HttpWebhookHandler(
    new CombinedWebhookHandlerFactory(storage, EXTENSION_ID)
      .withoutLogging()
      .withoutWebhookSignatureVerification()
      .withWebhookHandlerPrefix(new SignatureVerificationHandler(options))
      .build(),
  );
  const send = async (body: Uint8Array<ArrayBuffer>, headers: Record<string, string>) => {
    const request = new Request(URL_OF_WEBHOOK, { method: "POST", headers, body });
    const response = await wrapper.handleWebhook(request);
    return { status: response.status, text: await response.text() };
  };
  return { storage, send };
}

const BODY = encode(payload("ExtensionAddedToContext"));

Deno.test("the original's wiring works, with mitthooks' own check", async () => {
  await using endpoint = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () =>
      Response.json({ serial: signer.serial, key: signer.publicKey }, {
        headers: { connection: "close" },
      }),
  );
  const storage = new MemoryStorage();
  const wrapper = new HttpWebhookHandler(
    new CombinedWebhookHandlerFactory(storage, EXTENSION_ID)
      .withoutLogging()
      .withMittwaldAPIURL(`http://127.0.0.1:${endpoint.addr.port}`)
      .build(),
  );
  const response = await wrapper.handleWebhook(
    new Request(URL_OF_WEBHOOK, {
      method: "POST",
      headers: await signer.headers(BODY),
      body: BODY,
    }),
  );
  assertEquals(response.status, 200);
  assertEquals(storage.rows.get("instance-1")?.secret, SECRET);
});

Deno.test("with the check in front, what is genuine passes", async () => {
  const { storage, send } = wiring();
  assertEquals((await send(BODY, await signer.headers(BODY))).status, 200);
  assertEquals(storage.rows.get("instance-1")?.secret, SECRET);
});

Deno.test("with the check in front, forgeries are refused with 400 and nothing is stored", async (t) => {
  const other = await createSigner("serial-2");
  const headers = await signer.headers(BODY);
  const { storage, send } = wiring();
  const latin1 = new Uint8Array([...BODY.slice(0, -2), 0xe4, 0x22, 0x7d]);
  const withMark = new Uint8Array([0xef, 0xbb, 0xbf, ...BODY]);
  const cases: Record<string, [Uint8Array<ArrayBuffer>, Record<string, string>]> = {
    "another key": [BODY, signatureHeaders("serial-1", encodeBase64(await other.sign(BODY)))],
    "zeros": [BODY, signatureHeaders("serial-1", encodeBase64(new Uint8Array(64)))],
    "no signature": [BODY, {}],
    "unknown serial": [BODY, { ...headers, "X-Marketplace-Signature-Serial": "serial-2" }],
    "algorithm": [BODY, { ...headers, "X-Marketplace-Signature-Algorithm": "none" }],
    "changed body": [encode(payload("InstanceRemovedFromContext")), headers],
    "not UTF-8, though signed": [latin1, await signer.headers(latin1)],
    "byte order mark, though signed": [withMark, await signer.headers(withMark)],
  };
  for (const [name, [body, ofRequest]] of Object.entries(cases)) {
    await t.step(name, async () => {
      const { status, text } = await send(body, ofRequest);
      assertEquals(status, 400, text);
      assert(!text.includes(SECRET));
    });
  }
  assertEquals(storage.callCount, 0);
});

Deno.test("with the check in front, a public key that cannot be had is answered with 500", async () => {
  const { storage, send } = wiring({
    publicKeys: { getPublicKey: () => Promise.reject(new Error("down")) },
  });
  const { status, text } = await send(BODY, await signer.headers(BODY));
  assertEquals(status, 500);
  assertStringIncludes(text, "Getting a public key");
  assertEquals(storage.callCount, 0);
});

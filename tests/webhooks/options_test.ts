import { assertRejects, assertThrows } from "@std/assert";
import { SignatureVerificationHandler } from "../../mitthooks/mod.ts";
import {
  createWebhookHandler,
  MittwaldPublicKeys,
  verifyWebhook,
  type VerifyWebhookOptions,
} from "../../webhooks/mod.ts";
import * as moved from "../../webhooks/moved.ts";
import { storageThat, URL_OF_WEBHOOK } from "./support.ts";

const VALID = { storage: storageThat(() => {}), extensionId: "extension-1" };

// deno-lint-ignore no-explicit-any -- what callers without types may pass
type Anything = any;

Deno.test("wrong options are refused when the handler is created, by name", () => {
  const wrong: Record<string, Anything[]> = {
    storage: [undefined, null, { upsertExtension() {} }],
    extensionId: [undefined, "", 7],
    publicKeys: [{}, null, new MittwaldPublicKeys({ purpose: "session_token" })],
    logger: [{ info() {} }],
    onError: ["console"],
    maxBodyBytes: ["1"],
    timeoutMs: [null],
    maxConcurrent: ["1"],
    maxAgeMs: ["1h"],
    extensionID: ["extension-1"],
  };
  const outOfRange = {
    maxBodyBytes: [0, Infinity],
    maxConcurrent: [0, 1.5, Infinity],
    timeoutMs: [NaN, 0, 1.5, 2 ** 31],
    maxAgeMs: [-1],
  };
  for (const [table, errorClass] of [[wrong, TypeError], [outOfRange, RangeError]] as const) {
    for (const [name, values] of Object.entries(table)) {
      for (const value of values) {
        const create = () => createWebhookHandler({ ...VALID, [name]: value });
        assertThrows(create, errorClass, name, `${name}: ${value}`);
      }
    }
  }
  assertThrows(() => createWebhookHandler(undefined as Anything), TypeError);
  // Options that are undefined count as absent.
  const optional = Object.keys(wrong).filter((name) => !/storage|extension/i.test(name));
  createWebhookHandler({
    ...VALID,
    ...Object.fromEntries(optional.map((name) => [name, undefined])),
  });
});

Deno.test("wrong options of the other entries are refused, by name", async () => {
  const keys: [string, unknown, typeof TypeError | typeof RangeError][] = [
    ["apiUrl", "api.mittwald.de", TypeError],
    ["apiUrl", "ftp://x", TypeError],
    ["apiUrl", "https://x/?a", TypeError],
    ["apiUrl", "https://x/#a", TypeError],
    ["apiUrl", "https://u:p@x", TypeError],
    ["apiUrl", "https://x/v2/", TypeError],
    ["fetch", {}, TypeError],
    ["timeoutMs", 0, RangeError],
    ["timeout", 1, TypeError],
    ["known", null, TypeError],
    ["purpose", "webhooks", TypeError],
  ];
  for (const [name, value, errorClass] of keys) {
    assertThrows(() => new MittwaldPublicKeys({ [name]: value }), errorClass, name);
  }
  for (const [name, value] of [["publicKeys", {}], ["extensionId", "x"]]) {
    const options = { [name as string]: value };
    assertThrows(() => new SignatureVerificationHandler(options), TypeError, name as string);
  }
  const former = moved.SignatureVerificationHandler as unknown as new () => unknown;
  assertThrows(() => new former(), TypeError, 'import it from "@wais/mitthooks-drizzle/mitthooks"');
  for (const [name, wrong] of [["extensionId", {}], ["storage", VALID]] as const) {
    const verify = () => verifyWebhook(new Request(URL_OF_WEBHOOK), wrong as VerifyWebhookOptions);
    await assertRejects(verify, TypeError, name);
  }
  const ofExpress = { headers: {}, method: "POST", body: {} } as unknown as Request;
  const verify = () => verifyWebhook(ofExpress, { extensionId: "x" });
  await assertRejects(verify, TypeError, "the request is not a Request");
});

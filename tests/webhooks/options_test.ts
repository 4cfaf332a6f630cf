import { assertStringIncludes, assertThrows } from "@std/assert";
import {
  createWebhookHandler,
  MittwaldPublicKeys,
  SignatureVerificationHandler,
} from "../../webhooks/mod.ts";
import { MemoryStorage } from "../support/memory_storage.ts";

const VALID = { storage: new MemoryStorage(), extensionId: "extension-1" };

// deno-lint-ignore no-explicit-any -- what callers without types may pass
type Anything = any;

Deno.test("wrong options are refused when the handler is created, by name", async (t) => {
  const cases: [string, Anything, typeof TypeError | typeof RangeError][] = [
    ["storage", undefined, TypeError],
    ["storage", null, TypeError],
    ["storage", { upsertExtension() {} }, TypeError],
    ["extensionId", undefined, TypeError],
    ["extensionId", "", TypeError],
    ["extensionId", 7, TypeError],
    ["publicKeys", {}, TypeError],
    ["publicKeys", null, TypeError],
    ["logger", { info() {} }, TypeError],
    ["onError", "console", TypeError],
    ["handlers", () => {}, TypeError],
    ["handlers", [{ handleWebhook() {} }, () => {}], TypeError],
    ["maxBodyBytes", "1", TypeError],
    ["maxBodyBytes", 0, RangeError],
    ["maxBodyBytes", Infinity, RangeError],
    ["timeoutMs", NaN, RangeError],
    ["timeoutMs", 0, RangeError],
    ["timeoutMs", 1.5, RangeError],
    ["timeoutMs", 2 ** 31, RangeError],
    ["timeoutMs", null, TypeError],
    ["maxAgeMs", -1, RangeError],
    ["maxAgeMs", "1h", TypeError],
    ["extensionID", "extension-1", TypeError],
  ];
  for (const [name, value, errorClass] of cases) {
    await t.step(`${name}: ${String(value)}`, () => {
      const error = assertThrows(
        () => createWebhookHandler({ ...VALID, [name]: value }),
        errorClass,
      );
      assertStringIncludes(error.message, name);
    });
  }
  assertThrows(() => createWebhookHandler(undefined as Anything), TypeError);
});

Deno.test("options given as undefined are options not given", () => {
  createWebhookHandler({
    ...VALID,
    publicKeys: undefined,
    logger: undefined,
    onError: undefined,
    handlers: undefined,
    maxBodyBytes: undefined,
    timeoutMs: undefined,
    maxAgeMs: undefined,
  });
});

Deno.test("wrong options of MittwaldPublicKeys and SignatureVerificationHandler are refused", () => {
  for (
    const apiUrl of [
      "",
      "api.mittwald.de",
      "ftp://x",
      "https://x/?a",
      "https://x/#a",
      "https://u:p@x",
    ]
  ) {
    assertThrows(() => new MittwaldPublicKeys({ apiUrl }), TypeError, "apiUrl");
  }
  assertThrows(() => new MittwaldPublicKeys({ fetch: {} as Anything }), TypeError, "fetch");
  assertThrows(() => new MittwaldPublicKeys({ timeoutMs: 0 }), RangeError, "timeoutMs");
  assertThrows(
    () => new SignatureVerificationHandler({ publicKeys: {} as Anything }),
    TypeError,
    "publicKeys",
  );
  assertThrows(
    () => new SignatureVerificationHandler({ extensionId: "x" } as Anything),
    TypeError,
    "extensionId",
  );
  assertThrows(() => new MittwaldPublicKeys({ timeout: 1 } as Anything), TypeError, "timeout");
  assertThrows(() => new MittwaldPublicKeys({ known: null as Anything }), TypeError, "known");
});

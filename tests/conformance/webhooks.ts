/**
 * Webhooks on any runtime, with a storage in memory.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  assertAnswer,
  createSigner,
  DRY_RUN_URL,
  encode,
  payload,
  Receiver,
  SECRET,
} from "../webhooks/support.ts";
import type { PlatformCase } from "./platform.ts";

export const webhooks: readonly PlatformCase[] = [
  {
    name: "an instance's whole life",
    async run() {
      const receiver = await Receiver.create();
      for (
        const [kind, changes] of [
          ["ExtensionAddedToContext", {}],
          ["InstanceUpdated", { state: { enabled: false }, consentedScopes: ["other"] }],
          ["SecretRotated", { secret: "rotated" }],
        ] as const
      ) {
        assertAnswer(await receiver.deliver(payload(kind, changes)), 200, "STORED");
      }
      const row = receiver.storage.rows.get("instance-1");
      assertEquals(
        [row?.secret, row?.active, row?.consentedScopes, row?.context],
        ["rotated", false, ["other"], "customer"],
      );
      const removed = payload("InstanceRemovedFromContext");
      assertAnswer(await receiver.deliver(removed), 200, "STORED");
      assertAnswer(await receiver.deliver(removed), 200, "STORED");
      assertEquals(receiver.storage.rows.size, 0);
    },
  },
  {
    name: "forged and damaged: refused, nothing stored",
    async run() {
      const receiver = await Receiver.create();
      const body = encode(payload("ExtensionAddedToContext"));
      const forger = await createSigner("serial-1");
      assertAnswer(
        await receiver.send(body, await forger.headers(body)),
        401,
        "ERR_SIGNATURE_INVALID",
      );
      const headers = await receiver.signer.headers(body);
      const changed = body.slice();
      changed[changed.length - 2]! ^= 1;
      assertAnswer(await receiver.send(changed, headers), 401, "ERR_SIGNATURE_INVALID");
      assertAnswer(await receiver.send(body, {}), 400, "ERR_SIGNATURE_MALFORMED");
      assertAnswer(
        await receiver.send(body, { ...headers, "X-Marketplace-Signature": "AAAA" }),
        400,
        "ERR_SIGNATURE_MALFORMED",
      );
      assertEquals(receiver.storage.callCount, 0);
    },
  },
  {
    name: "other extension, unknown kind, not JSON, too large, GET, dry run",
    async run() {
      const receiver = await Receiver.create({ maxBodyBytes: 2_000 });
      const meta = { extensionId: "another", contributorId: "c" };
      assertAnswer(
        await receiver.deliver(payload("ExtensionAddedToContext", { meta })),
        403,
        "ERR_WRONG_EXTENSION",
      );
      assertAnswer(await receiver.deliver(payload("Unheard")), 400, "ERR_UNKNOWN_KIND");
      assertAnswer(await receiver.deliver("{"), 400, "ERR_BODY_INVALID");
      assertAnswer(await receiver.deliver("x".repeat(2_001)), 413, "ERR_BODY_TOO_LARGE");
      assertAnswer(await receiver.send(null, {}, { method: "GET" }), 405, "ERR_METHOD");
      assertAnswer(
        await receiver.deliver(payload("ExtensionAddedToContext"), {
          url: DRY_RUN_URL,
        }),
        200,
        "DRY_RUN",
      );
      assertEquals(receiver.storage.callCount, 0);
    },
  },
  {
    name:
      "a storage that does not answer: 503 in time; one that fails: 500, and no secret in any of it",
    async run() {
      const slow = await Receiver.create({
        timeoutMs: 50,
        storage: {
          upsertExtension: () => new Promise<void>(() => {}),
          updateExtension() {},
          rotateSecret() {},
          removeInstance() {},
        },
      });
      assertAnswer(
        await slow.deliver(payload("ExtensionAddedToContext")),
        503,
        "ERR_DEADLINE_EXCEEDED",
      );
      const failing = await Receiver.create({
        storage: {
          upsertExtension: () => Promise.reject(new Error("refused")),
          updateExtension() {},
          rotateSecret() {},
          removeInstance() {},
        },
      });
      assertAnswer(
        await failing.deliver(payload("ExtensionAddedToContext")),
        500,
        "ERR_STORAGE_FAILED",
      );
      const said = JSON.stringify([slow.answers, slow.log, failing.answers, failing.log]);
      assertEquals(said.includes(SECRET), false);
    },
  },
];

/** Webhooks on any runtime, with a storage in memory. */
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
import type { BoundCase } from "./tap.ts";

/** A storage that cannot add instances. */
const storageThat = (upsertExtension: () => Promise<void>) => ({
  upsertExtension,
  updateExtension() {},
  rotateSecret() {},
  removeInstance() {},
});

export const webhooks: readonly BoundCase[] = [
  {
    name: "an instance's whole life",
    async run() {
      const receiver = await Receiver.create();
      const removed = payload("InstanceRemovedFromContext");
      const deliveries = [
        payload("ExtensionAddedToContext"),
        payload("InstanceUpdated", { state: { enabled: false }, consentedScopes: ["other"] }),
        payload("SecretRotated", { secret: "rotated" }),
      ];
      for (const delivery of deliveries) {
        assertAnswer(await receiver.deliver(delivery), 200, "STORED");
      }
      const row = receiver.storage.rows.get("instance-1");
      assertEquals(
        [row?.secret, row?.active, row?.consentedScopes, row?.context],
        ["rotated", false, ["other"], "customer"],
      );
      assertAnswer(await receiver.deliver(removed), 200, "STORED");
      assertAnswer(await receiver.deliver(removed), 200, "STORED");
      assertEquals(receiver.storage.rows.size, 0);
    },
  },
  {
    name:
      "forged, damaged, for another extension, not JSON, too large, GET, dry run: nothing is stored",
    async run() {
      const receiver = await Receiver.create({ maxBodyBytes: 2_000 });
      const added = payload("ExtensionAddedToContext");
      const meta = { extensionId: "another", contributorId: "c" };
      const body = encode(added);
      const changed = body.slice();
      changed[changed.length - 2]! ^= 1;
      const headers = await receiver.signer.headers(body);
      const forged = await (await createSigner("serial-1")).headers(body);
      const malformed = { ...headers, "X-Marketplace-Signature": "AAAA" };
      const deliveries = [
        [() => receiver.send(body, forged), 401, "ERR_SIGNATURE_INVALID"],
        [() => receiver.send(changed, headers), 401, "ERR_SIGNATURE_INVALID"],
        [() => receiver.send(body, {}), 400, "ERR_SIGNATURE_MALFORMED"],
        [() => receiver.send(body, malformed), 400, "ERR_SIGNATURE_MALFORMED"],
        [() => receiver.deliver({ ...added, meta }), 403, "ERR_WRONG_EXTENSION"],
        [() => receiver.deliver(payload("Unheard")), 400, "ERR_UNKNOWN_KIND"],
        [() => receiver.deliver("{"), 400, "ERR_BODY_INVALID"],
        [() => receiver.deliver("x".repeat(2_001)), 413, "ERR_BODY_TOO_LARGE"],
        [() => receiver.send(null, {}, { method: "GET" }), 405, "ERR_METHOD"],
        [() => receiver.deliver(added, { url: DRY_RUN_URL }), 200, "DRY_RUN"],
      ] as const;
      for (const [deliver, status, code] of deliveries) {
        assertAnswer(await deliver(), status, code);
      }
      assertEquals(receiver.storage.callCount, 0);
    },
  },
  {
    name:
      "a storage that does not answer: 503 in time; one that fails: 500, and no secret in any of it",
    async run() {
      const slow = await Receiver.create({
        timeoutMs: 50,
        storage: storageThat(() => new Promise<void>(() => {})),
      });
      const failing = await Receiver.create({
        storage: storageThat(() => Promise.reject(new Error("refused"))),
      });
      const added = payload("ExtensionAddedToContext");
      assertAnswer(await slow.deliver(added), 503, "ERR_DEADLINE_EXCEEDED");
      assertAnswer(await failing.deliver(added), 500, "ERR_STORAGE_FAILED");
      const said = JSON.stringify([slow.answers, slow.log, failing.answers, failing.log]);
      assertEquals(said.includes(SECRET), false);
    },
  },
];

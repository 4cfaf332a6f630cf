/** The setup of local development: extension, database and simulated mStudio, each reached over HTTP only. */

import { assertEquals } from "@std/assert";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  PgExtensionStorage,
} from "@wais/mitthooks-drizzle/pg";
import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { extensionInstanceDdl } from "../support/extension_instance.ts";

const LOOPBACK = { hostname: "127.0.0.1", port: 0, onListen() {} };

Deno.test("the webhook handler takes a simulated mStudio for the real one", async () => {
  await using client = await PGlite.create();
  await client.exec(extensionInstanceDdl);
  const key = buildEncryptionKey("master password", "salt");
  const table = buildExtensionInstanceTable(buildEncryptedTextColumn(key));
  const storage = new PgExtensionStorage(drizzle(client), table);

  await using keys = Deno.serve(LOOPBACK, (request) => mstudio.api(request));
  const handleWebhook = createWebhookHandler({
    storage,
    extensionId: "e-1",
    publicKeys: new MittwaldPublicKeys({ apiUrl: `http://127.0.0.1:${keys.addr.port}` }),
  });
  await using extension = Deno.serve(LOOPBACK, handleWebhook);
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: `http://127.0.0.1:${extension.addr.port}/webhooks`,
    backoff: { initialMs: 1 },
    faults: { duplicate: true, dropResponse: 2, forge: true },
  });

  const instance = await mstudio.addInstance({
    context: { id: "k-1", kind: "customer" },
    consentedScopes: ["domain:read"],
    variantKey: "gold",
  });
  const stored = await storage.getExtension(instance.id);
  assertEquals(
    [stored?.contextId, stored?.context, stored?.variantKey, stored?.consentedScopes],
    ["k-1", "customer", "gold", ["domain:read"]],
  );
  assertEquals([stored?.secret, stored?.active], [instance.secret, true]);

  await instance.update({ enabled: false });
  await instance.rotateSecret();
  const changed = await storage.getExtension(instance.id);
  assertEquals([changed?.secret, changed?.active], [instance.secret, false]);

  mstudio.setFaults({});
  const answers: [number, string][] = [];
  const rotation = instance.event("SecretRotated", { secret: "another" });
  for (const options of [{ forge: true }, { tamper: true }, { dryRun: true }]) {
    const response = await mstudio.deliverOnce(rotation, options);
    answers.push([response.status, (await response.json()).code]);
  }
  assertEquals(answers, [
    [401, "ERR_SIGNATURE_INVALID"],
    [401, "ERR_SIGNATURE_INVALID"],
    [409, "ERR_NO_DRY_RUN"],
  ]);
  assertEquals((await storage.getExtension(instance.id))?.secret, instance.secret);

  await instance.remove();
  assertEquals(await storage.getExtension(instance.id), undefined);
});

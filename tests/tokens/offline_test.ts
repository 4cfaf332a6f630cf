/** A whole extension without a network: webhooks, storage, and the tokens that the stored secrets are for. */

import { assertEquals, assertRejects } from "@std/assert";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  importEncryptionKey,
  PgExtensionStorage,
} from "@wais/mitthooks-drizzle/pg";
import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
import { InstanceTokens, UnknownExtensionInstanceError } from "@wais/mitthooks-drizzle/tokens";
import { createWebhookHandler, MittwaldPublicKeys } from "@wais/mitthooks-drizzle/webhooks";
import { extensionInstanceDdl } from "../support/extension_instance.ts";

Deno.test("a new and a rotated secret are refused at first, and waited for; removed is removed", async () => {
  await using client = await PGlite.create();
  await client.exec(extensionInstanceDdl);
  const key = importEncryptionKey(crypto.getRandomValues(new Uint8Array(32)));
  const table = buildExtensionInstanceTable(buildEncryptedTextColumn(key));
  const storage = new PgExtensionStorage(drizzle(client), table);

  await using api = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => mstudio.api(request),
  );
  const apiUrl = `http://127.0.0.1:${api.addr.port}`;
  const handle = createWebhookHandler({
    storage,
    extensionId: "e-1",
    publicKeys: new MittwaldPublicKeys({ apiUrl }),
  });
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target: handle,
    newSecretRefusedMs: 1_000,
  });
  const tokens = new InstanceTokens({ storage, apiUrl, timeoutMs: 60_000 });

  const instance = await mstudio.addInstance();
  const first = await tokens.get(instance.id);
  assertEquals(mstudio.instanceOfToken(first), instance.id);
  assertEquals(await tokens.get(instance.id), first);

  await instance.rotateSecret();
  const all = await Promise.all(Array.from({ length: 100 }, () => tokens.get(instance.id)));
  const [second] = all as [string];
  assertEquals(new Set(all), new Set([second]));
  assertEquals([second === first, mstudio.instanceOfToken(second)], [false, instance.id]);

  await instance.remove();
  assertEquals(mstudio.instanceOfToken(second), undefined);
  await assertRejects(() => tokens.get(instance.id), UnknownExtensionInstanceError);
});

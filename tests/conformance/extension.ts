/**
 * An extension on any driver, from the webhook to the access token. With the npm package, only an
 * application's required packages are installed, without mitthooks for example.
 */
import { assert, assertEquals } from "@std/assert";
import { PgExtensionStorage } from "../../pg/mod.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { InstanceTokens } from "../../tokens/mod.ts";
import { createWebhookHandler } from "../../webhooks/mod.ts";
import type { Case } from "../suites/suite.ts";
import {
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "../support/extension_instance.ts";

export const extension: readonly Case[] = [{
  name: "webhooks are stored, and the stored secret gets an access token",
  async run({ open, sql }) {
    await sql(extensionInstanceDdl);
    await sql(lastEventDdl);
    const storage = new PgExtensionStorage(open(), extensionInstances, { lastEvents });
    await using mstudio = await SimulatedMstudio.create({
      extensionId: "extension-1",
      target: (request) => handle(request),
      maxAttempts: 1,
      newSecretRefusedMs: 0,
    });
    const { publicKeys } = mstudio;
    const handle = createWebhookHandler({ storage, extensionId: "extension-1", publicKeys });
    const fetch = (url: string | URL | Request, init?: RequestInit) =>
      mstudio.api(new Request(url, init));
    const tokens = new InstanceTokens({ storage, fetch });
    const instance = await mstudio.addInstance();
    for (const secret of [instance.secret, "rotated"]) {
      if (secret !== instance.secret) await instance.rotateSecret(secret);
      assertEquals((await storage.getExtension(instance.id))?.secret, secret);
      assertEquals(mstudio.instanceOfToken(await tokens.get(instance.id)), instance.id);
    }
    const [stored] = await sql("SELECT secret FROM extension_instance");
    assert(!String(stored!["secret"]).includes("rotated"));
    await instance.remove();
    assertEquals(await storage.getExtension(instance.id), undefined);
  },
}];

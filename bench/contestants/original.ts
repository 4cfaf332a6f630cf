/** The predecessor of this package, with mitthooks' factory. */

import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
import { VerifyingWebhookHandler } from "@weissaufschwarz/mitthooks/handler/verification";
import { NoopLogger } from "@weissaufschwarz/mitthooks/logging/noopLogger";
import { CachingPublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { WebhookVerifier } from "@weissaufschwarz/mitthooks/verification/verify";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type { AnyPgColumn, text } from "drizzle-orm/pg-core";
import * as original from "../../tools/original.ts";
import { drizzleQueries, EXTENSION_ID, PASSWORD, SALT } from "./common.ts";
import { start } from "./serve.ts";

const key = original.buildEncryptionKey(PASSWORD, SALT);
const encryptedText = original.buildEncryptedTextColumn(key);
const extensionInstances = original.buildExtensionInstanceTable(encryptedText);

await start((pool, publicKey) => {
  // Its types are from an older Drizzle.
  const db = drizzle(pool);
  const storage = new original.PgExtensionStorage(db as never, extensionInstances);
  const logger = new NoopLogger();
  // The factory's own check can only call mittwald's API. This is the same with a local key.
  const publicKeys = new CachingPublicKeyProvider({ getPublicKey: () => publicKey });
  const check = new VerifyingWebhookHandler(new WebhookVerifier(logger, publicKeys), logger);
  const handler = new HttpWebhookHandler(
    new CombinedWebhookHandlerFactory(storage, EXTENSION_ID)
      .withoutLogging()
      .withoutWebhookSignatureVerification()
      .withWebhookHandlerPrefix(check)
      .build(),
  );
  return {
    handle: (request) => handler.handleWebhook(request),
    upsert: (instance) => storage.upsertExtension(instance),
    rotate: ({ extensionInstanceId: id, secret }) => storage.rotateSecret(id, secret),
    update: (instance) => storage.updateExtension(instance),
    async get({ extensionInstanceId: id }) {
      const rows = await db.select().from(extensionInstances as never)
        .where(eq(extensionInstances["id"] as unknown as AnyPgColumn, id));
      return (rows[0] as { secret: string } | undefined)?.secret;
    },
    ...drizzleQueries(db, encryptedText as unknown as typeof text),
  };
});

/**
 * Handler and storage of the original.
 *
 * @module
 */
import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
import { VerifyingWebhookHandler } from "@weissaufschwarz/mitthooks/handler/verification";
import { NoopLogger } from "@weissaufschwarz/mitthooks/logging/noopLogger";
import { CachingPublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { WebhookVerifier } from "@weissaufschwarz/mitthooks/verification/verify";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  PgExtensionStorage,
} from "../../../tools/original.ts";
import { EXTENSION_ID, PASSWORD, SALT } from "./data.ts";

type Database = ConstructorParameters<typeof PgExtensionStorage>[0];

/** Makes handler and storage; the key is derived already. */
export function createOriginal(pool: pg.Pool, { publicKey }: { publicKey: string }) {
  const extensionInstances = buildExtensionInstanceTable(
    buildEncryptedTextColumn(buildEncryptionKey(PASSWORD, SALT)),
  );
  const storage = new PgExtensionStorage(
    drizzle(pool) as unknown as Database,
    extensionInstances,
  );
  // The factory's own check can only ask mittwald's API. The same check, before everything else, with the
  // public key in memory:
  const logger = new NoopLogger();
  const publicKeys = new CachingPublicKeyProvider({ getPublicKey: () => publicKey });
  const wrapper = new HttpWebhookHandler(
    new CombinedWebhookHandlerFactory(storage, EXTENSION_ID)
      .withoutLogging()
      .withoutWebhookSignatureVerification()
      .withWebhookHandlerPrefix(
        new VerifyingWebhookHandler(new WebhookVerifier(logger, publicKeys), logger),
      )
      .build(),
  );
  const handle = (request: Request): Promise<Response> => wrapper.handleWebhook(request);
  return { storage, handle, extensionInstances };
}

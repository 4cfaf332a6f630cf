/**
 * Packages that build on the column types of Drizzle 0.x, and mitthooks, whose types must be
 * compatible with ours in both directions. Compiled, not run.
 */
import { DrizzleAdapter } from "@auth/drizzle-adapter";
import {
  buildEncryptedTextColumn,
  importEncryptionKey,
  type PgExtensionStorage,
  type PrimaryKeyOf,
  withEncryption,
} from "@weissaufschwarz/mitthooks-drizzle/pg";
import { SignatureVerificationHandler } from "@weissaufschwarz/mitthooks-drizzle/mitthooks";
import * as webhooks from "@weissaufschwarz/mitthooks-drizzle/webhooks";
import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
import { ConsoleLogger } from "@weissaufschwarz/mitthooks/logging/consoleLogger";
import type { Logger } from "@weissaufschwarz/mitthooks/logging/interface";
import type {
  ExtensionStorage,
  ExtensionToBeAdded,
  ExtensionToBeUpdated,
} from "@weissaufschwarz/mitthooks/storage/extensionStorage";
import type { PublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable, primaryKey, text, timestamp } from "drizzle-orm/pg-core";
import { createInsertSchema, createSelectSchema } from "drizzle-zod";
import pg from "pg";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
function expectType<_T extends true>(): void {}

const encryptedText = buildEncryptedTextColumn(importEncryptionKey(new Uint8Array(32)));

// Auth.js with encrypted tokens.
const users = pgTable("user", {
  id: text("id").primaryKey(),
  name: text("name"),
  email: text("email"),
  emailVerified: timestamp("emailVerified", { mode: "date" }),
  image: text("image"),
});
const accounts = pgTable("account", {
  userId: text("userId").notNull().references(() => users.id, { onDelete: "cascade" }),
  type: text("type").$type<"oauth" | "oidc" | "email" | "webauthn">().notNull(),
  provider: text("provider").notNull(),
  providerAccountId: text("providerAccountId").notNull(),
  refresh_token: encryptedText("refresh_token"),
  access_token: encryptedText("access_token"),
  expires_at: integer("expires_at"),
  token_type: text("token_type"),
  scope: text("scope"),
  id_token: encryptedText("id_token"),
  session_state: text("session_state"),
}, (table) => [primaryKey({ columns: [table.provider, table.providerAccountId] })]);
const db = withEncryption(drizzle(new pg.Pool()));
DrizzleAdapter(db, { usersTable: users, accountsTable: accounts });

// drizzle-zod.
const secrets = pgTable("secret", { id: integer().primaryKey(), secret: encryptedText().notNull() });
const selected = createSelectSchema(secrets).parse({});
expectType<Equal<typeof selected.secret, string>>();
const inserted = createInsertSchema(secrets).parse({});
expectType<Equal<typeof inserted.secret, string>>();

// Rows that could not be re-encrypted are identified by primary key, if the types have it.
expectType<Equal<PrimaryKeyOf<typeof secrets>, { id: number }>>();
expectType<Equal<PrimaryKeyOf<typeof accounts>, Partial<typeof accounts.$inferSelect>>>();

// mitthooks' interfaces and ours, which we declare so that mitthooks need not be installed.
type Fits<A, B> = [A, B] extends [B, A] ? true : false;
expectType<Fits<webhooks.PublicKeyProvider, PublicKeyProvider>>();
expectType<Fits<webhooks.Logger, Logger>>();
expectType<Fits<webhooks.ExtensionStorage, ExtensionStorage>>();
expectType<Fits<webhooks.ExtensionToBeAdded, ExtensionToBeAdded>>();
expectType<Fits<webhooks.ExtensionToBeUpdated, ExtensionToBeUpdated>>();
// A member missing on one side is detected.
type Less = Omit<ExtensionStorage, "removeInstance">;
expectType<Equal<Fits<Less, ExtensionStorage> | Fits<ExtensionStorage, Less>, false>>();
export function withMitthooks(storage: PgExtensionStorage, theirs: ExtensionStorage) {
  const keys: PublicKeyProvider = new webhooks.MittwaldPublicKeys();
  webhooks.createWebhookHandler({
    storage: theirs,
    extensionId: "e",
    publicKeys: keys,
    logger: new ConsoleLogger(),
  });
  // @ts-expect-error it has moved
  new webhooks.SignatureVerificationHandler();
  return new CombinedWebhookHandlerFactory(storage, "e")
    .withWebhookHandlerPrefix(new SignatureVerificationHandler({ publicKeys: keys }))
    .withLogger(console);
}

/**
 * The tested extension: its tables and, as a program, its webhook server, which prints its port.
 */

import { jsonb, pgTable, serial, text } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  createWebhookHandler,
  importEncryptionKey,
  type InstanceChange,
  MittwaldPublicKeys,
  PgExtensionStorage,
} from "../../mod.ts";
import { extensionInstanceDdl, lastEventDdl, lastEvents } from "../support/extension_instance.ts";

/** How often a handler throws after writing. */
const FAILURE_RATE = 0.03;

/** The program's job, as JSON in the variable JOB. */
export interface ExtensionJob {
  readonly databaseUrl: string;
  /** URL of the public keys. */
  readonly apiUrl: string;
}

/**
 * Matches errors that involve our code. When a connection breaks in a transaction, postgres.js 3.4
 * leaves rejections unhandled and writes to a closed socket (its issue 1208); nobody can catch
 * that.
 */
export const IS_OURS = /file:(?![^\n]*node_modules)/;

/** The key of the secrets: without derivation, because the program starts often. */
export const key = importEncryptionKey(new Uint8Array(32).map((_, index) => index));

const extensionInstances = buildExtensionInstanceTable(buildEncryptedTextColumn(key));

/** The handlers' table: one row per call. */
const changes = pgTable("change", {
  id: serial().primaryKey(),
  instanceId: text("instance_id").notNull(),
  change: text().notNull(),
  instance: jsonb().notNull(),
});

export const ddl = `${extensionInstanceDdl} ${lastEventDdl} CREATE TABLE change
  (id serial PRIMARY KEY, instance_id text NOT NULL, change text NOT NULL, instance jsonb NOT NULL)`;

function serve({ databaseUrl, apiUrl }: ExtensionJob): void {
  const db = drizzle(postgres(databaseUrl, { connect_timeout: 5, onnotice: () => {} }));
  type Handled = InstanceChange<typeof extensionInstances, typeof db>;
  const note = (change: string) => async ({ instance, tx }: Handled) => {
    await tx.insert(changes).values({ instanceId: instance.id, change, instance });
    if (Math.random() < FAILURE_RATE) throw new Error("on purpose");
  };
  const names = ["added", "updated", "secretRotated", "removed"] as const;
  const on = Object.fromEntries(names.map((name) => [name, note(name)]));
  const handler = createWebhookHandler({
    extensionId: "model",
    storage: new PgExtensionStorage(db, extensionInstances, { lastEvents, on }),
    publicKeys: new MittwaldPublicKeys({ apiUrl }),
  });
  const onListen = ({ port }: Deno.NetAddr) => console.log(`Listening on ${port}`);
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, handler);
}

if (import.meta.main) {
  addEventListener("unhandledrejection", (event) => {
    if (!IS_OURS.test(event.reason?.stack)) event.preventDefault();
  });
  serve(JSON.parse(Deno.env.get("JOB")!));
}

/**
 * The extension under test, a program of its own: `server.ts` serves webhooks and prints the port.
 *
 * MODEL_DATABASE_URL: the database. MODEL_API_URL: where public keys are. MODEL_FENCE=off: without `lastEvents`, and so
 * without handlers.
 */

import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import {
  type ChangeHandlers,
  createWebhookHandler,
  MittwaldPublicKeys,
  PgExtensionStorage,
} from "../../mod.ts";
import { lastEvents } from "../support/extension_instance.ts";
import { changes, extensionInstances } from "./tables.ts";

/** How often a handler throws after it has written. */
const FAILURE_RATE = 0.03;

// Whoever started it holds the other end, and may be killed itself.
Deno.stdin.readable.pipeTo(new WritableStream()).finally(() => Deno.exit());

const environment = (name: string) => Deno.env.get(name) ?? "";
const client = postgres(environment("MODEL_DATABASE_URL"), {
  max: 10,
  connect_timeout: 5,
  onnotice: () => {},
});
const db = drizzle(client);

type Handlers = Required<ChangeHandlers<typeof extensionInstances, typeof db>>;
type Change = Parameters<NonNullable<Handlers["added" | "updated"]>>[0];

function note(change: string) {
  return async ({ instance, tx, before }: Change & { before?: unknown }) => {
    await tx.insert(changes).values({ instanceId: instance.id, change, before, instance });
    if (Math.random() < FAILURE_RATE) throw new Error("on purpose");
  };
}

const on = {
  added: note("added"),
  updated: note("updated"),
  secretRotated: note("secretRotated"),
  removed: note("removed"),
};
const storage = environment("MODEL_FENCE") === "off"
  ? new PgExtensionStorage(db, extensionInstances)
  : new PgExtensionStorage(db, extensionInstances, { lastEvents, on });
const handler = createWebhookHandler({
  extensionId: "model",
  storage,
  publicKeys: new MittwaldPublicKeys({ apiUrl: environment("MODEL_API_URL") }),
});
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`Listening on ${port}`),
}, handler);

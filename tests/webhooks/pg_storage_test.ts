import { assertEquals } from "@std/assert";
import { HttpWebhookHandler } from "@weissaufschwarz/mitthooks/bootstrapping/http-wrapper";
import { CombinedWebhookHandlerFactory } from "@weissaufschwarz/mitthooks/factory/combined";
import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import { pgTable, text } from "drizzle-orm/pg-core";
import postgres from "postgres";
import {
  buildEncryptedTextColumn,
  buildExtensionInstanceTable,
  importEncryptionKey,
  PgExtensionStorage,
} from "../../pg/mod.ts";
import { SignatureVerificationHandler } from "../../webhooks/mod.ts";
import { lastEventDdl, lastEvents } from "../support/extension_instance.ts";
import { createDatabase } from "../support/postgres.ts";
import {
  ago,
  assertAnswer,
  EXTENSION_ID,
  KINDS,
  payload,
  Receiver,
  requestOf,
  SECRET,
} from "./support.ts";

const extensionInstances = buildExtensionInstanceTable(
  buildEncryptedTextColumn(importEncryptionKey(new Uint8Array(32).fill(1))),
);

const MIGRATION = `
  CREATE TYPE context AS ENUM ('customer', 'project');
  CREATE TABLE extension_instance (
    id varchar(36) PRIMARY KEY, "contextId" varchar(36) NOT NULL,
    context context DEFAULT 'project' NOT NULL, active boolean NOT NULL, variant_key text,
    consented_scopes text[] NOT NULL, secret text,
    "createdAt" timestamp DEFAULT now() NOT NULL, "updatedAt" timestamp DEFAULT now() NOT NULL
  )`;

type Storage = PgExtensionStorage<typeof extensionInstances, PostgresJsDatabase>;

/** A storage in a database of its own. */
async function openStorage(
  {
    migrated = true,
    build = (db: PostgresJsDatabase): Storage => new PgExtensionStorage(db, extensionInstances),
  } = {},
) {
  const database = await createDatabase();
  const client = postgres(database.url, { max: 4, onnotice: () => {} });
  if (migrated) await client.unsafe(MIGRATION);
  return {
    client,
    storage: build(drizzle(client)),
    /** The stored row without its times; the secret's ciphertext left out. */
    rows: async () =>
      (await client`
        SELECT id, "contextId", context, active, variant_key, consented_scopes
        FROM extension_instance`).map((row) => ({ ...row })),
    async [Symbol.asyncDispose]() {
      await client.end();
      await database.drop();
    },
  };
}

Deno.test("in PostgreSQL, every event twice, and concurrently twice, leaves the row of one delivery", async (t) => {
  await using db = await openStorage();
  const receiver = await Receiver.create({ storage: db.storage });
  const ROW = {
    id: "instance-1",
    contextId: "p-abc123",
    context: "customer",
    active: true,
    variant_key: null,
    consented_scopes: ["project:read"],
  };
  const expected: Record<typeof KINDS[number], [unknown[], string | undefined]> = {
    ExtensionAddedToContext: [[ROW], SECRET],
    InstanceUpdated: [[{ ...ROW, active: false, variant_key: "basic" }], SECRET],
    SecretRotated: [[{ ...ROW, active: false, variant_key: "basic" }], "second"],
    InstanceRemovedFromContext: [[], undefined],
  };
  for (const kind of KINDS) {
    await t.step(kind, async () => {
      const body = payload(
        kind,
        {
          InstanceUpdated: { state: { enabled: false }, variantKey: "basic" },
          SecretRotated: { secret: "second" },
          ExtensionAddedToContext: {},
          InstanceRemovedFromContext: {},
        }[kind],
      );
      const check = async () => {
        const secret = (await db.storage.getExtension("instance-1"))?.secret ?? undefined;
        assertEquals([await db.rows(), secret], expected[kind]);
      };
      assertAnswer(await receiver.deliver(body), 200, "STORED");
      await check();
      const again = await Promise.all([receiver.deliver(body), receiver.deliver(body)]);
      for (const answer of again) assertAnswer(answer, 200, "STORED");
      await check();
    });
  }
});

Deno.test("in PostgreSQL, unknown instances are answered with 404, and a missing table with 500", async () => {
  await using db = await openStorage();
  const receiver = await Receiver.create({ storage: db.storage });
  assertAnswer(await receiver.deliver(payload("InstanceUpdated")), 404, "ERR_UNKNOWN_INSTANCE");
  assertAnswer(await receiver.deliver(payload("SecretRotated")), 404, "ERR_UNKNOWN_INSTANCE");
  await using empty = await openStorage({ migrated: false });
  const unmigrated = await Receiver.create({ storage: empty.storage });
  assertAnswer(
    await unmigrated.deliver(payload("ExtensionAddedToContext")),
    500,
    "ERR_STORAGE_FAILED",
  );
  assertEquals(unmigrated.errors.map(({ code }) => code), ["ERR_TABLE_MISSING"]);
});

Deno.test("in PostgreSQL, the original's wiring works with our storage, and refuses forgeries with our check", async () => {
  await using db = await openStorage();
  const { signer } = await Receiver.create();
  const wrapper = new HttpWebhookHandler(
    new CombinedWebhookHandlerFactory(db.storage, EXTENSION_ID)
      .withoutLogging()
      .withoutWebhookSignatureVerification()
      .withWebhookHandlerPrefix(
        new SignatureVerificationHandler({
          publicKeys: { getPublicKey: () => signer.publicKey },
        }),
      )
      .build(),
  );
  const send = async (body: string, signed: string) => {
    const headers = await signer.headers(new TextEncoder().encode(signed));
    const response = await wrapper.handleWebhook(
      new Request("https://extension.example/", { method: "POST", headers, body }),
    );
    return response.status;
  };
  const added = JSON.stringify(payload("ExtensionAddedToContext"));
  const removed = JSON.stringify(payload("InstanceRemovedFromContext"));
  assertEquals(await send(added, added), 200);
  assertEquals(await send(removed, added), 400);
  assertEquals((await db.storage.getExtension("instance-1"))?.secret, SECRET);
  assertEquals(await send(removed, removed), 200);
  assertEquals(await db.rows(), []);
});

Deno.test("in PostgreSQL, a handler that throws after it has written is answered with 500, and nothing is stored", async () => {
  const sites = pgTable("site", { instanceId: text("instance_id") });
  let failing = true;
  await using db = await openStorage({
    build: (db) =>
      new PgExtensionStorage(db, extensionInstances, {
        lastEvents,
        on: {
          async added({ instance, tx }) {
            await tx.insert(sites).values({ instanceId: instance.id });
            if (failing) throw new Error("the mail server is down");
          },
        },
      }),
  });
  await db.client.unsafe(`${lastEventDdl}; CREATE TABLE site (instance_id text)`);
  const receiver = await Receiver.create({ storage: db.storage });
  const event = payload("ExtensionAddedToContext");
  await assertAnswer(await receiver.deliver(event), 500, "ERR_HANDLER_FAILED");
  assertEquals(receiver.errors.map(({ code, cause }) => [code, String(cause)]), [
    ["ERR_HANDLER_FAILED", "Error: the mail server is down"],
  ]);
  const stored = async () => [
    (await db.rows()).length,
    (await db.client`SELECT * FROM site`).length,
    (await db.client`SELECT * FROM extension_instance_last_event`).length,
  ];
  assertEquals(await stored(), [0, 0, 0]);
  failing = false;
  for (let delivery = 0; delivery < 2; delivery++) {
    await assertAnswer(await receiver.deliver(event), 200, "STORED");
    assertEquals(await stored(), [1, 1, 1]);
  }
});

Deno.test("in PostgreSQL, an event older than one that was applied is answered with 409", async () => {
  await using db = await openStorage({
    build: (db) => new PgExtensionStorage(db, extensionInstances, { lastEvents }),
  });
  await db.client.unsafe(lastEventDdl);
  const receiver = await Receiver.create({ storage: db.storage });
  const at = (ms: number) => requestOf(ago(ms));
  const added = payload("ExtensionAddedToContext", at(60_000));
  await assertAnswer(await receiver.deliver(added), 200, "STORED");
  await assertAnswer(await receiver.deliver(payload("SecretRotated", at(30_000))), 200, "STORED");
  await assertAnswer(await receiver.deliver(added), 409, "ERR_STALE_EVENT");
  await assertAnswer(
    await receiver.deliver(payload("InstanceRemovedFromContext", at(20_000))),
    200,
    "STORED",
  );
  await assertAnswer(await receiver.deliver(added), 409, "ERR_STALE_EVENT");
  assertEquals(await db.rows(), []);
  assertEquals(receiver.errors.map(({ code }) => code), ["ERR_STALE_EVENT", "ERR_STALE_EVENT"]);
});

/** The effects of genuine deliveries, in PostgreSQL and on the storage's methods. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { PgExtensionStorage } from "../../pg/mod.ts";
import { verifyWebhook } from "../../webhooks/mod.ts";
import { eachRow } from "../support/each_row.ts";
import { extensionInstanceDdl, extensionInstances } from "../support/extension_instance.ts";
import { createDatabase } from "../../tools/postgres/databases.ts";
import {
  ADDED,
  ago,
  DRY_RUN_URL,
  encode,
  EXTENSION_ID,
  fail,
  KINDS,
  type Payload,
  payload,
  Receiver,
  REMOVED,
  requestOf,
  ROTATED,
  SECRET,
  storageThat,
  UPDATED,
  URL_OF_WEBHOOK,
} from "./support.ts";

/** A receiver with its own database. */
async function openDatabase() {
  const database = await createDatabase();
  const client = postgres(database.url, { max: 4, onnotice: () => {} });
  await client.unsafe(extensionInstanceDdl);
  const storage = new PgExtensionStorage(drizzle(client), extensionInstances);
  const receiver = await Receiver.create({ storage });
  const close = async () => {
    await client.end();
    await database.drop();
  };
  return { client, storage, receiver, [Symbol.asyncDispose]: close };
}

Deno.test("in PostgreSQL, repeated and concurrent events leave the row of one delivery", async (t) => {
  await using db = await openDatabase();
  const changed = { context: { id: "p-2", kind: "project" }, consentedScopes: ["a", "b"] };
  const added = ["p-abc123", "customer", false, "basic", ["project:read"]];
  const updated = ["p-2", "project", true, null, ["a", "b"]];
  const life: Record<string, [Payload, unknown[], string | undefined]> = {
    [ADDED]: [{ variantKey: "basic", state: { enabled: false } }, [added], SECRET],
    [UPDATED]: [changed, [updated], SECRET],
    [ROTATED]: [{ secret: "second" }, [updated], "second"],
    [REMOVED]: [{}, [], undefined],
  };
  await eachRow(t, life, async ([changes, rows, secret], kind) => {
    for (const attempts of [1, 2]) {
      const body = payload(kind, changes);
      const deliver = () => db.receiver.expect("200 STORED", body);
      await Promise.all(Array.from({ length: attempts }, deliver));
      const stored = db.client`
        SELECT "contextId", context, active, variant_key, consented_scopes FROM extension_instance`;
      assertEquals([...await stored.values()] as unknown[], rows);
      assertEquals((await db.storage.getExtension("instance-1"))?.secret, secret);
    }
  });
});

Deno.test("both spellings of each kind have the same effect, under the short name", async (t) => {
  const methods = {
    [UPDATED]: "updateExtension",
    [ROTATED]: "rotateSecret",
    [REMOVED]: "removeInstance",
  };
  await eachRow(t, methods, async (method, short) => {
    const receiver = await Receiver.create();
    await receiver.deliver(payload(ADDED));
    const body = payload(short, { kind: `Extension${short.replace(/^(?!Instance)/, "Instance")}` });
    const { answer } = await receiver.expect("200 STORED", body);
    assertEquals(answer.message, `Handling ${short}: done`);
    assertEquals(receiver.storage.calls, { upsertExtension: 1, [method]: 1 });
  });
});

Deno.test("null and missing fields are read as absent", async () => {
  const receiver = await Receiver.create();
  for (const nothing of [null, undefined]) {
    for (const state of [nothing, {}, { enabled: nothing }]) {
      await receiver.deliver(payload(ADDED, { variantKey: "basic" }));
      const rest = { consentedScopes: nothing, variantKey: nothing, apiVersion: nothing };
      for (const kind of [ADDED, UPDATED]) {
        await receiver.expect("200 STORED", payload(kind, { ...rest, state }));
        const row = receiver.storage.rows.get("instance-1");
        assertEquals([row?.consentedScopes, row?.variantKey, row?.active], [[], null, true]);
      }
    }
  }
});

Deno.test("a removal and a new secret need only the fields that they use", async () => {
  const receiver = await Receiver.create();
  await receiver.deliver(payload(ADDED));
  const request = { createdAt: ago(0) };
  const least = { id: "instance-1", meta: { extensionId: EXTENSION_ID }, request };
  await receiver.expect("200 STORED", { ...least, kind: ROTATED, secret: "second" });
  const odd = { context: 1, consentedScopes: 2, state: 3, variantKey: 4, secret: 5 };
  await receiver.expect("200 STORED", { ...least, ...odd, kind: REMOVED });
  assertEquals(receiver.storage.rows.size, 0);
});

Deno.test("the storage gets the signed time, in UTC if it has no zone, and the delivery's id", async (t) => {
  const times = {
    "2026-08-01T12:00:00Z": "2026-08-01T12:00:00.000Z",
    "2026-08-01T12:00:00": "2026-08-01T12:00:00.000Z",
    "2026-08-01 12:00:00.5": "2026-08-01T12:00:00.500Z",
    "2026-08-01T12:00:00.123456789+02:00": "2026-08-01T10:00:00.123Z",
    "2026-08-01T12:00-0230": "2026-08-01T14:30:00.000Z",
    "2026-08-01t12:00:00z": "2026-08-01T12:00:00.000Z",
    "2024-02-29T23:59:59.999999Z": "2024-02-29T23:59:59.999Z",
  };
  await eachRow(t, times, async (read, written) => {
    const receiver = await Receiver.create();
    for (const kind of KINDS) {
      await receiver.expect("200 STORED", payload(kind, requestOf(written)));
    }
    const { occurrences } = receiver.storage;
    const expected = { occurredAt: new Date(read), requestId: "r" };
    assertEquals(occurrences, [expected, expected, expected, expected]);
  });
  // Without an id, or with one that cannot be stored, only the time is passed.
  const receiver = await Receiver.create();
  for (const id of [undefined, 7, "r\0", "\ud800"]) {
    const request = { ...requestOf(ago(0))["request"] as Payload, id };
    await receiver.expect("200 STORED", payload(ADDED, { request }));
    assertEquals(receiver.storage.occurrences.at(-1)?.requestId, undefined);
  }
});

Deno.test("errors of the storage are recognized by code, from any copy of the package", async (t) => {
  const statuses = { ERR_UNKNOWN_INSTANCE: 404, ERR_STALE_EVENT: 409, ERR_HANDLER_FAILED: 500 };
  await eachRow(t, statuses, async (status, code) => {
    const cause = new Error("the mail server is down");
    const ofCopy = Object.assign(new Error("of another copy", { cause }), { code });
    const receiver = await Receiver.create({ storage: storageThat(fail(ofCopy)) });
    for (const kind of KINDS) await receiver.expect(`${status} ${code}`, payload(kind));
    assertEquals(new Set(receiver.codes), new Set([code]));
    if (status === 500) assertEquals(receiver.errors[0]!.cause, cause);
  });
});

Deno.test("unknown fields, ids of any form, an empty secret and a body with white space are accepted", async () => {
  const receiver = await Receiver.create();
  const more = { deep: [{ toString: 1, constructor: null }] };
  for (const id of ["", "ä/..\n", "x".repeat(1_000), "__proto__"]) {
    const body = payload(ADDED, { id, secret: "", more, state: { enabled: true, since: 1 } });
    await receiver.expect("200 STORED", JSON.stringify(body, null, "\t") + "\n");
    assertEquals(receiver.storage.rows.get(id)?.secret, "");
  }
  // A secret is stored encrypted, so it may contain characters that a column cannot store.
  await receiver.expect("200 STORED", payload(ROTATED, { id: "", secret: "s3cr3t\0" }));
  assertEquals(receiver.storage.rows.get("")?.secret, "s3cr3t\0");
});

Deno.test("removing an instance whose id cannot be stored succeeds, and touches nothing", async () => {
  await using db = await openDatabase();
  await db.receiver.expect("200 STORED", payload(ADDED));
  // A lone surrogate becomes U+FFFD on its way into a database.
  await db.receiver.expect("200 STORED", payload(ADDED, { id: "\ufffd" }));
  for (const id of ["instance-1\0", "\0", "\ud800"]) {
    await db.receiver.expect("200 STORED", payload(REMOVED, { id }));
    await db.receiver.expect("400 ERR_BODY_INVALID", payload(ROTATED, { id }));
  }
  const [stored] = await db.client`SELECT count(*)::int AS count FROM extension_instance`;
  assertEquals(stored, { count: 2 });
});

Deno.test("verifyWebhook resolves to the typed event and exactly the signed body", async () => {
  const { signer, options: { publicKeys } } = await Receiver.create();
  const verify = async (text: string, url: string) => {
    const body = encode(text);
    const headers = await signer.headers(body);
    const request = new Request(url, { method: "POST", headers, body });
    return await verifyWebhook(request, { extensionId: EXTENSION_ID, publicKeys });
  };
  const request = { id: "request-7", createdAt: "2026-08-01T12:00:00.000Z" };
  const base = {
    id: "instance-1",
    extensionId: EXTENSION_ID,
    createdAt: new Date(request.createdAt),
  };
  const changes = { consentedScopes: null, request, more: "ÄÖ\u2028" };
  const added = JSON.stringify(payload(ADDED, changes), null, 2);
  assertEquals(await verify(added, URL_OF_WEBHOOK), {
    event: {
      ...base,
      kind: ADDED,
      requestId: "request-7",
      context: { id: "p-abc123", kind: "customer" },
      consentedScopes: [],
      enabled: true,
      variantKey: null,
      secret: SECRET,
    },
    rawBody: added,
    dryRun: false,
  });
  const { createdAt } = request;
  const removed = payload("ExtensionInstanceRemovedFromContext", { request: { createdAt } });
  assertEquals(await verify(JSON.stringify(removed), DRY_RUN_URL), {
    event: { ...base, kind: REMOVED, requestId: undefined },
    rawBody: JSON.stringify(removed),
    dryRun: true,
  });
});

Deno.test("one line is logged per delivery", async () => {
  const receiver = await Receiver.create();
  await receiver.deliver(payload(ADDED));
  await receiver.deliver(payload(ADDED, { meta: {} }));
  assertEquals(receiver.log.length, 2);
  assertStringIncludes(receiver.log[0]!, '200 · STORED · ExtensionAddedToContext "instance-1"');
  assertStringIncludes(receiver.log[1]!, "400 · ERR_BODY_INVALID");
});

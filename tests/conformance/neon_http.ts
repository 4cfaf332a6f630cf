/** Cases of neon-http: batches, and the refusal of transactions. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { eq, sql } from "drizzle-orm";
import { DecryptionError, PgExtensionStorage, withEncryption } from "../../pg/mod.ts";
import type { AnyDatabase, Case, TestContext } from "../suites/suite.ts";
import { assertStored, createTables, dump, keyB, notes, people } from "../suites/tables.ts";
import {
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "../support/extension_instance.ts";

/** The driver's refusal, and the cases that fail with it. */
export const refused = {
  message: "No transactions support in neon-http driver",
  cases: [
    "rule: refused when prepared, in a transaction, and in a nested one",
    "relational queries: prepared, and in a transaction",
    "confidentiality: the SQL logger sees ciphertext",
    "order: in the application's transaction: committed and rolled back with it",
    "order: a deadlock in the application's transaction is not retried",
    "re-encryption: a database wrapped by withEncryption, a transaction, and a rolled back one",
    "re-encryption: row-level security that applies to the current user is an error, regardless of the owner",
    "re-encryption: in a transaction nothing is retried, and the cause is reported, not the consequence",
    "re-encryption: times as keys, in any format of the session",
    "re-encryption: keys that change when converted to text: an error that names the column",
  ],
} as const;

type Database = AnyDatabase & {
  batch(queries: unknown[]): Promise<unknown[]>;
  $withAuth(token: string): Database;
};

async function fill(context: TestContext): Promise<Database> {
  await createTables(context);
  return withEncryption(context.open<Database>());
}

const ada = { id: 1, name: "Ada", phone: "555" };

const batches: Case[] = [
  {
    name: "written encrypted and read decrypted, in one request",
    async run(context) {
      const db = await fill(context);
      const results = await db.batch([
        db.insert(people).values({ ...ada, token: "t0k3n" }).returning(),
        db.update(people).set({ phone: "777" }).where(eq(people.id, 1)),
        db.select({ phone: people.phone, token: people.token }).from(people),
        db.select().from(people).leftJoin(notes, eq(notes.ownerId, people.id)),
      ]);
      assertEquals([results[0], results[2], results[3]], [
        [{ ...ada, token: "t0k3n" }],
        [{ phone: "777", token: "t0k3n" }],
        [{ person: { ...ada, phone: "777", token: "t0k3n" }, note: null }],
      ]);
      await assertStored(context, "SELECT phone FROM person", "777");
      await assertStored(context, "SELECT api_token FROM person", "t0k3n", keyB);
    },
  },
  {
    name:
      "a comparison of an encrypted column refuses all, an error in the database rolls all back",
    async run(context) {
      const db = await fill(context);
      const insert = db.insert(people).values(ada);
      const comparison = db.delete(people).where(eq(people.phone, "555"));
      await assertRejects(() => db.batch([insert, comparison]), TypeError);
      await assertRejects(() => db.batch([insert, insert]));
      assertEquals(await dump(context), [[], []]);
    },
  },
  {
    name: "statements of db.execute are sent with the others, in their order",
    async run(context) {
      const db = await fill(context);
      const write = () =>
        db.execute(sql`insert into person (id, name) select count(*) + 1, 'written' from person`);
      const results = await db.batch([db.insert(people).values(ada), write()]);
      assertEquals((results[1] as { rowCount: number }).rowCount, 1);
      const ids = await context.sql("SELECT id FROM person ORDER BY id");
      assertEquals(ids, [{ id: 1 }, { id: 2 }]);
      await assertRejects(() => db.batch([write(), db.insert(people).values(ada)]));
      assertEquals(await context.sql("SELECT id FROM person ORDER BY id"), ids);
      await db.batch([db.execute(db.update(people).set({ phone: "777" }))]);
      await assertStored(context, "SELECT phone FROM person WHERE id = 2", "777");
    },
  },
  {
    name: "writes are refused in a batch of the undecorated database",
    async run(context) {
      const db = await fill(context);
      const plain = context.open<Database>();
      const built = [
        db.insert(people).values(ada),
        db.insert(people).values({ id: 2, name: "Bob", phone: sql.placeholder("phone") }),
        db.execute(db.insert(people).values(ada)),
      ];
      for (const query of built) {
        await assertRejects(() => plain.batch([query]), TypeError, "that it was built with");
      }
      assertEquals(await dump(context), [[], []]);
    },
  },
  {
    name: "queries with encrypted results are refused there, too; nothing is sent",
    async run(context) {
      const db = await fill(context);
      const plain = context.open<Database>();
      await db.insert(people).values(ada);
      const before = await dump(context);
      const remove = plain.delete(people);
      const built = [
        db.select().from(people),
        db.select({ deep: { phone: people.phone } }).from(people),
        db.update(people).set({ name: "changed" }).returning(),
      ];
      for (const query of built) {
        await assertRejects(() => plain.batch([remove, query]), TypeError, "it is not decrypted");
      }
      assertEquals(await dump(context), before);
      assertEquals(await db.batch([db.select({ phone: people.phone }).from(people)]), [
        [{ phone: "555" }],
      ]);
    },
  },
  {
    name: "a damaged value is located by query and path",
    async run(context) {
      const db = await fill(context);
      await db.insert(people).values(ada);
      await context.sql("UPDATE person SET phone = overlay(phone placing '!' from 1)");
      const error = await assertRejects(
        () => db.batch([db.select().from(notes), db.select().from(people)]),
        DecryptionError,
      );
      assertEquals(error.path, "[1][0].phone");
    },
  },
];

const tokens: Case[] = [
  {
    name: "the database of $withAuth encrypts and decrypts, and sends its token",
    async run(context) {
      const db = await fill(context);
      const sent: (string | null)[] = [];
      const { fetch } = globalThis;
      globalThis.fetch = (input, init) => {
        sent.push(new Headers(init?.headers).get("authorization"));
        return fetch(input, init);
      };
      try {
        // Old versions of the driver send none.
        await context.open<Database>().$withAuth("jwt").execute(sql`select 1`);
        const [token] = sent.splice(0);
        const authorized = db.$withAuth("jwt");
        await authorized.insert(people).values({ ...ada, token: "t0k3n" });
        assertEquals(await authorized.select({ phone: people.phone }).from(people), [
          { phone: "555" },
        ]);
        const named = authorized.$with("named").as(
          authorized.select({ phone: people.phone }).from(people),
        );
        assertEquals(await authorized.with(named).select().from(named), [{ phone: "555" }]);
        await authorized.update(people).set({ phone: "777" });
        await authorized.execute(sql`select 1`);
        assertEquals(sent, Array(5).fill(token));
        await db.select().from(people);
        assertEquals(sent.length, 6);
      } finally {
        globalThis.fetch = fetch;
      }
      await assertStored(context, "SELECT phone FROM person", "777");
    },
  },
];

const transactions: Case[] = [
  {
    name: "refused by the driver with its own message, wrapped or not",
    async run(context) {
      for (const database of [withEncryption(context.open()), context.open()]) {
        const attempt = async () => await database.transaction(() => Promise.resolve());
        assertEquals((await assertRejects(attempt, Error)).message, refused.message);
      }
    },
  },
];

const changes: Case[] = [
  {
    name:
      "handlers, which need transactions, are refused at once; events without handlers are stored",
    async run(context) {
      await context.sql(extensionInstanceDdl);
      await context.sql(lastEventDdl);
      const open = (options: object) =>
        new PgExtensionStorage(context.open(), extensionInstances, { lastEvents, ...options });
      assertEquals(
        assertThrows(() => open({ on: { removed: () => {} } }), TypeError).message,
        "Creating a storage with handlers: the database's driver has no transactions",
      );
      const storage = open({ on: {} });
      const instance = { contextId: "p-abc123", consentedScopes: [], secret: "s3cr3t" };
      await storage.upsertExtension({ ...instance, extensionInstanceId: "instance" });
      await storage.removeInstance("instance");
      assertEquals(await storage.getExtension("instance"), undefined);
    },
  },
];

export const suites: Readonly<Record<string, readonly Case[]>> = {
  batches,
  "access tokens": tokens,
  transactions,
  changes,
};

/**
 * Every public type as an application sees it. Compiled, not run, against each supported line of
 * Drizzle; `Equal` distinguishes `any`.
 */
import { PGlite } from "@electric-sql/pglite";
import * as everything from "@weissaufschwarz/mitthooks-drizzle";
import {
  type AdditionalColumns,
  type BuildEncryptionKeyOptions,
  type ContextKind,
  type DbClientWithExtensionInstances,
  DecryptionError,
  type EncryptableDatabase,
  type ErrorCode,
  type ExtensionInstanceTable,
  type ExtensionInstanceToBeAdded,
  HandlerFailedError,
  MitthooksDrizzleError,
  PgExtensionStorage,
  StaleEventError,
  StorageError,
  type StorageOperation,
  type TransactionOf,
  withEncryption,
} from "@weissaufschwarz/mitthooks-drizzle/pg";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  type EncryptedTextColumn,
  type EncryptionKey,
  importEncryptionKey,
} from "@weissaufschwarz/mitthooks-drizzle/pg/encryption";
import {
  buildExtensionInstanceTable,
  buildLastEventTable,
  type CheckedSecret,
  context,
  type LastEventTable,
} from "@weissaufschwarz/mitthooks-drizzle/pg/schema";
import { MstudioSessions, type Session, SessionError } from "@weissaufschwarz/mitthooks-drizzle/sessions";
import { createWebhookHandler } from "@weissaufschwarz/mitthooks-drizzle/webhooks";
import { eq } from "drizzle-orm";
import { drizzle as drizzleNodePostgres } from "drizzle-orm/node-postgres";
import { integer, jsonb, pgSchema, pgTable, pgTableCreator, text } from "drizzle-orm/pg-core";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
type Flat<T> = { [TKey in keyof T]: T[TKey] };
function expectType<_T extends true>(): void {}

// Keys and columns.
const options: BuildEncryptionKeyOptions = { kdf: { name: "pbkdf2", iterations: 100_000 } };
const key = buildEncryptionKey("password", "salt", options);
expectType<Equal<typeof key, EncryptionKey>>();
expectType<Equal<ReturnType<EncryptionKey["encrypt"]>, Promise<string>>>();
importEncryptionKey(new Uint8Array(32), { alsoReads: [key] });
// @ts-expect-error there is no such derivation
buildEncryptionKey("password", "salt", { kdf: { name: "md5" } });
// @ts-expect-error the salt is missing
buildEncryptionKey("password");
const encryptedText = buildEncryptedTextColumn(key);
expectType<Equal<typeof encryptedText, EncryptedTextColumn>>();
// @ts-expect-error a Buffer is no key
buildEncryptedTextColumn(new Uint8Array(32));

// An encrypted column in the application's own table.
const people = pgTable("person", {
  id: integer().primaryKey(),
  phone: encryptedText(),
  token: encryptedText("api_token").notNull(),
  nick: encryptedText().notNull().$default(() => "x"),
});
expectType<
  Equal<
    Flat<typeof people.$inferSelect>,
    { id: number; phone: string | null; token: string; nick: string }
  >
>();
expectType<
  Equal<
    Flat<typeof people.$inferInsert>,
    { id: number; token: string; phone?: string | null | undefined; nick?: string | undefined }
  >
>();

// Modifiers that cannot take effect, also after valid ones.
// @ts-expect-error a default would stand unencrypted in the migration
encryptedText().default("x");
// @ts-expect-error equal values are stored differently
encryptedText().unique();
// @ts-expect-error equal values are stored differently
encryptedText().primaryKey();
// @ts-expect-error equal values are stored differently
encryptedText().references(() => people.phone);
// @ts-expect-error an array of encrypted texts is not supported
encryptedText().array();
// @ts-expect-error the database cannot encrypt
encryptedText().generatedAlwaysAs("x");
// @ts-expect-error equal values are stored differently
encryptedText("api_token").notNull().unique();
// The compiler's message has the reason.
type Reason = ThisParameterType<ReturnType<EncryptedTextColumn>["unique"]>;
expectType<Equal<Reason, "equal values are stored differently, so it would never take effect">>();
// @ts-expect-error only strings are stored
encryptedText().$type<{ token: string }>();
// @ts-expect-error only strings are stored
encryptedText().notNull().$type<string[]>();
const roles = pgTable("role", { role: encryptedText().$type<"admin" | "user">().notNull() });
expectType<Equal<typeof roles.$inferSelect["role"], "admin" | "user">>();
// For Drizzle and its ecosystem it is a text column.
const texts = pgTable("text", { plain: text(), encrypted: encryptedText() });
expectType<Equal<typeof texts.encrypted["_"]["dataType"], typeof texts.plain["_"]["dataType"]>>();
expectType<Equal<typeof texts.encrypted["_"]["data"], string>>();

// The table of extension instances, with and without the application's columns.
expectType<Equal<(typeof context.enumValues)[number], ContextKind>>();
const instances = buildExtensionInstanceTable(encryptedText);
expectType<Equal<typeof instances, ExtensionInstanceTable>>();
type Row = {
  id: string;
  contextId: string;
  context: "customer" | "project";
  active: boolean;
  variantKey: string | null;
  consentedScopes: string[];
  secret: string | null;
  createdAt: Date;
  updatedAt: Date;
};
type NewRow = {
  id: string;
  contextId: string;
  active: boolean;
  consentedScopes: string[];
  context?: "customer" | "project" | undefined;
  variantKey?: string | null | undefined;
  secret?: string | null | undefined;
  createdAt?: Date | undefined;
  updatedAt?: Date | undefined;
};
expectType<Equal<Flat<typeof instances.$inferSelect>, Row>>();
expectType<Equal<Flat<typeof instances.$inferInsert>, NewRow>>();

const custom = buildExtensionInstanceTable(encryptedText, {
  customField: text("custom_field"),
  counter: integer("counter").default(0),
  logins: integer().notNull().default(0),
  tags: jsonb().$type<{ deep: string[] }>(),
});
expectType<
  Equal<
    Flat<typeof custom.$inferSelect>,
    & Row
    & {
      customField: string | null;
      counter: number | null;
      logins: number;
      tags: { deep: string[] } | null;
    } extends infer T ? Flat<T> : never
  >
>();
expectType<
  Equal<
    Flat<typeof custom.$inferInsert>,
    & NewRow
    & {
      customField?: string | null | undefined;
      counter?: number | null | undefined;
      logins?: number | undefined;
      tags?: { deep: string[] } | null | undefined;
    } extends infer T ? Flat<T> : never
  >
>();
eq(custom.customField, "x");
// @ts-expect-error the table has no such column
eq(instances.customField, "x");
// @ts-expect-error a required column without a default
buildExtensionInstanceTable(encryptedText, { required: text().notNull() });
// @ts-expect-error this column exists already
buildExtensionInstanceTable(encryptedText, { secret: text() });
// @ts-expect-error the secret has to be encrypted
buildExtensionInstanceTable(text);
type NotEncrypted = CheckedSecret<typeof text>;
expectType<
  Equal<
    NotEncrypted,
    "the column of the secret has to be encrypted, pass what buildEncryptedTextColumn returned"
  >
>();
const columns: AdditionalColumns = { note: text() };
void columns;

// Tables with other schemas and names, and the table of last events.
const ours = buildExtensionInstanceTable(encryptedText, { note: text() }, {
  table: pgSchema("ours").table,
  name: "instance",
});
expectType<Equal<(typeof ours.$inferSelect)["note"], string | null>>();
buildExtensionInstanceTable(encryptedText, {}, { table: pgTable });
buildExtensionInstanceTable(encryptedText, {}, { table: pgTableCreator((name) => `app_${name}`) });
// @ts-expect-error there is no such option
buildLastEventTable({ tabel: pgTable });
const lastEvents = buildLastEventTable({ table: pgSchema("ours").table });
expectType<Equal<typeof lastEvents, LastEventTable>>();
expectType<
  Equal<Flat<typeof lastEvents.$inferSelect>, {
    instanceId: string;
    kind: string;
    createdAt: Date;
    requestIds: string[];
    calledAt: Date | null;
  }>
>();

// Databases of every driver keep their type.
const nodePostgres = drizzleNodePostgres({ client: new pg.Pool() });
const postgresJs = drizzlePostgresJs({ client: postgres() });
const pglite = drizzlePglite({ client: new PGlite() });
const wrapped = withEncryption(nodePostgres);
expectType<Equal<typeof wrapped, typeof nodePostgres>>();
const clients: DbClientWithExtensionInstances[] = [nodePostgres, postgresJs, pglite];
const databases: EncryptableDatabase[] = clients;
void databases;
// @ts-expect-error this is no database
withEncryption({});

export async function queries(): Promise<void> {
  const rows = await withEncryption(postgresJs).select().from(people);
  expectType<
    Equal<typeof rows, { id: number; phone: string | null; token: string; nick: string }[]>
  >();
  const [partial] = await withEncryption(pglite).select({ secret: custom.secret, n: custom.logins })
    .from(custom).where(eq(custom.id, "x"));
  expectType<Equal<typeof partial, { secret: string | null; n: number } | undefined>>();
  await wrapped.insert(people).values({ id: 1, token: "t" });
  // @ts-expect-error the token is missing
  await wrapped.insert(people).values({ id: 1 });

  const storage = new PgExtensionStorage(postgresJs, custom);
  const instance = await storage.getExtension("x");
  expectType<Equal<typeof instance, typeof custom.$inferSelect | undefined>>();
  // For a page: without the secret, and without encrypted columns that are not named.
  const forPage = await storage.getInstance("x");
  type ForPage = Omit<typeof custom.$inferSelect, "secret">;
  expectType<Equal<typeof forPage, ForPage | undefined>>();
  const keeping = buildExtensionInstanceTable(encryptedText, {
    apiToken: encryptedText("api_token"),
    pin: encryptedText().notNull().$default(() => "0000"),
    note: text(),
  });
  const keeper = new PgExtensionStorage(postgresJs, keeping);
  const bare = await keeper.getInstance("x");
  expectType<Equal<Flat<NonNullable<typeof bare>>, Flat<Omit<Row, "secret"> & { note: string | null }>>>();
  const named = await keeper.getInstance("x", { decrypt: ["pin"] });
  expectType<Equal<NonNullable<typeof named>["pin"], string>>();
  // @ts-expect-error it is not named
  void named?.apiToken;
  // @ts-expect-error the secret is not for pages
  await keeper.getInstance("x", { decrypt: ["secret"] });
  // @ts-expect-error nothing to decrypt
  await keeper.getInstance("x", { decrypt: ["note"] });
  // Sessions have the row of the storage's table; without a storage they have none.
  const sessions = new MstudioSessions({ extensionId: "e", storage: keeper });
  const { instance: ofSession, userId } = await sessions.verify(new Request("https://x.example"));
  expectType<Equal<typeof ofSession, NonNullable<typeof bare>>>();
  expectType<Equal<typeof userId, string>>();
  // @ts-expect-error the secret is not for pages
  void ofSession.secret;
  // @ts-expect-error encrypted
  void ofSession.apiToken;
  const bareSessions = new MstudioSessions({ extensionId: "e", extensionSecret: "s" });
  const without = await bareSessions.verify(undefined);
  expectType<Equal<typeof without, Session>>();
  expectType<Equal<typeof without.instance, undefined>>();
  const own = new MstudioSessions({
    extensionId: "e",
    storage: {
      getInstance: (id: string) => Promise.resolve({ id, contextId: "p", active: true, plan: 1 }),
    },
  });
  expectType<Equal<Awaited<ReturnType<typeof own.verify>>["instance"]["plan"], number>>();
  // @ts-expect-error whether it is active has to be known
  new MstudioSessions({ extensionId: "e", storage: { getInstance: async () => ({ contextId: "p" }) } });
  // @ts-expect-error the extension's id is missing
  new MstudioSessions({});
  const { token, expiresAt } = await sessions.accessToken("a.b.c");
  expectType<Equal<[typeof token, typeof expiresAt], [string, Date]>>();
  const added: ExtensionInstanceToBeAdded = {
    extensionInstanceId: "x",
    contextId: "p",
    consentedScopes: [],
    secret: "s",
    context: "customer",
    enabled: false,
  };
  await storage.upsertExtension(added);
  // @ts-expect-error enabled is missing
  await storage.updateExtension({ extensionInstanceId: "x", contextId: "p", consentedScopes: [] });
  // Any object with the public members is a storage, for example in an application's test.
  const handMade: Pick<typeof storage, keyof typeof storage> = storage;
  const accepted: typeof storage = handMade;
  void accepted;
  new PgExtensionStorage(pglite, instances, { unknownInstances: "ignore" });
  // @ts-expect-error there is no such choice
  new PgExtensionStorage(pglite, instances, { unknownInstances: "drop" });
  await storage.rotateSecret("x", "s", { occurredAt: new Date() });
  await storage.removeInstance("x", {});
  expectType<Equal<ReturnType<typeof storage.forgetRemoved>, Promise<number>>>();
  const withHandlers = new PgExtensionStorage(nodePostgres, custom, {
    lastEvents,
    on: {
      added: async ({ instance, tx }) => {
        expectType<Equal<typeof instance, typeof custom.$inferSelect>>();
        expectType<Equal<typeof tx, TransactionOf<typeof nodePostgres>>>();
        const rows = await tx.select().from(people);
        expectType<Equal<(typeof rows)[number]["phone"], string | null>>();
        await tx.transaction((inner) => inner.insert(people).values({ id: 1, token: "t" }));
        // @ts-expect-error the token is missing
        await tx.insert(people).values({ id: 1 });
        // @ts-expect-error the table has no such column
        void instance.missing;
      },
      updated: ({ before, instance }) => {
        expectType<Equal<typeof before, typeof instance>>();
      },
      // @ts-expect-error there was nothing before
      removed: ({ before }) => before,
    },
  });
  // A storage of any table and database is assignable.
  const storages: PgExtensionStorage[] = [storage, withHandlers];
  void storages;
  new PgExtensionStorage(pglite, instances, {
    lastEvents,
    on: { removed: ({ tx }) => tx.delete(people) },
  });
  // @ts-expect-error handlers need the table of last events
  new PgExtensionStorage(pglite, instances, { on: {} });
  // @ts-expect-error there is no such change
  new PgExtensionStorage(pglite, instances, { lastEvents, on: { add: () => {} } });
  // @ts-expect-error this is another table
  new PgExtensionStorage(pglite, instances, { lastEvents: instances });
  await nodePostgres.transaction(async (tx) => {
    new PgExtensionStorage(tx, instances, {
      lastEvents,
      on: { added: ({ tx: inner }) => inner.delete(people) },
    });
    await tx.execute("select 1");
  });
  // @ts-expect-error this is another table
  new PgExtensionStorage(pglite, people);
  await nodePostgres.transaction(async (tx) => {
    await new PgExtensionStorage(tx, instances).removeInstance("x");
    const inner = withEncryption(tx);
    expectType<Equal<typeof inner, typeof tx>>();
  });
  const handler = createWebhookHandler({ storage, extensionId: "e" });
  expectType<Equal<ReturnType<typeof handler>, Promise<Response>>>();
}

export function codes(error: unknown): StorageOperation | string | undefined {
  if (error instanceof StorageError) {
    expectType<Equal<typeof error.operation, StorageOperation>>();
    return error.operation;
  }
  if (error instanceof SessionError) {
    expectType<Equal<typeof error.code, Extract<ErrorCode, typeof error.code>>>();
    return String(error.status);
  }
  if (error instanceof StaleEventError) return error.extensionInstanceId;
  if (error instanceof HandlerFailedError) return String(error.cause);
  if (error instanceof DecryptionError) {
    expectType<Equal<typeof error.path, string | undefined>>();
    return error.path;
  }
  if (error instanceof MitthooksDrizzleError) {
    expectType<Equal<typeof error.code, ErrorCode>>();
    return error.code;
  }
  return undefined;
}

expectType<Equal<typeof everything.buildEncryptionKey, typeof buildEncryptionKey>>();

import { PGlite } from "@electric-sql/pglite";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, serial, text } from "drizzle-orm/pg-core";
import { drizzle, type PgliteDatabase } from "drizzle-orm/pglite";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  buildLastEventTable,
  context,
  createWebhookHandler,
  MittwaldPublicKeys,
  PgExtensionStorage,
  withEncryption,
} from "../../mod.ts";
import { stdout, styled } from "../../cli/output.ts";
import { type SimulatedInstance, SimulatedMstudio } from "../../testing/mod.ts";
import * as original from "../original.ts";
import { runTask } from "../run.ts";

const EXTENSION_ID = "demo-extension";

/** Applications read these from the environment. */
const MASTER_PASSWORD = "correct horse battery staple";
const SALT = "Fleur de Sel";

const extensionInstances = buildExtensionInstanceTable(
  buildEncryptedTextColumn(buildEncryptionKey(MASTER_PASSWORD, SALT)),
  { visits: integer().notNull().default(0) },
);

const lastEvents = buildLastEventTable();

/** The application's own table, to which its change handlers write. */
const journal = pgTable("journal", {
  id: serial().primaryKey(),
  instanceId: text().notNull(),
  change: text().notNull(),
});

/** Widths of the table's columns. */
const WIDTHS = [14, 1, 8, 3, 7, 24, 15];

const row = (...cells: string[]) =>
  cells.map((cell, index) => cell.slice(0, WIDTHS[index]).padEnd(WIDTHS[index]!)).join(" ")
    .trimEnd();

export async function runDemo(): Promise<void> {
  await runTask(async () => {
    const db = drizzle(await PGlite.create());
    stdout.line("Database  PostgreSQL (PGlite) in this process");
    const schema = generateDrizzleJson({ context, extensionInstances, lastEvents, journal });
    const migration = await generateMigration(generateDrizzleJson({}), schema);
    for (const statement of migration) await db.execute(sql.raw(statement));
    stdout.line("Tables    from a migration by drizzle-kit");
    await showInstances(db);
    await showOriginal(db);
    stdout.text(`
Seen: secrets are encrypted in the database, and plain for the application.
Forged and old webhooks were refused, and each change was handled once.

Next: README.md shows how to build your extension, examples/ has complete ones.
      npx --yes deno task test   runs the tests, which takes some minutes
`);
    return 0;
  });
}

/** The life of two instances, with attacks. */
async function showInstances(db: PgliteDatabase): Promise<void> {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: (request) => fetch(new Request(url, request)),
    maxAttempts: 1,
  });
  await using api = Deno.serve({ port: 0, onListen() {} }, mstudio.api);
  await using server = Deno.serve(
    { port: 0, onListen() {} },
    createWebhookHandler({
      storage: storageWithJournal(db),
      extensionId: EXTENSION_ID,
      publicKeys: new MittwaldPublicKeys({ apiUrl: `http://localhost:${api.addr.port}` }),
      onError: (error) => {
        // The replayed delivery is refused on purpose.
        if (error.code !== "ERR_STALE_EVENT") console.error(error);
      },
    }),
  );
  const url = `http://localhost:${server.addr.port}/webhooks`;
  stdout.line(`Webhooks  POST ${url}, by a simulated mStudio`);
  stdout.line();

  const show = async (event: string, name: string, { id }: SimulatedInstance) => {
    const isShown = eq(extensionInstances.id, id);
    // SQL that is not a column is read as stored.
    const [stored] = await db.select({ secret: sql<string>`secret` }).from(extensionInstances)
      .where(isShown);
    const [read] = await withEncryption(db).select().from(extensionInstances).where(isShown);
    const state = read && [read.context, read.active ? "yes" : "no", read.variantKey ?? "–"];
    const secrets = [stored?.secret ?? "(no row)", read?.secret ?? "(no row)"];
    stdout.line(row(event, name, ...state ?? ["", "", ""], ...secrets));
  };

  const titles = [
    "event",
    "",
    "context",
    "on",
    "variant",
    "secret in the database",
    "secret as read",
  ];
  stdout.line(styled("bold", row(...titles)));
  const a = await mstudio.addInstance({
    context: { id: "c-4711", kind: "customer" },
    secret: "first-secret-A",
    variantKey: "pro",
  });
  const addition = mstudio.deliveries[0]!;
  await show("added", "A", a);
  const b = await mstudio.addInstance({ secret: "first-secret-B" });
  await show("added", "B", b);
  await a.update({ enabled: false, variantKey: "basic" });
  await show("updated", "A", a);
  // mStudio delivers at least once, so an event may be repeated.
  await a.rotateSecret("second-secret-A", { faults: { duplicate: true } });
  await show("rotated, twice", "A", a);
  await b.rotateSecret("second-secret-B");
  await show("rotated", "B", b);
  await b.update({ enabled: true, consentedScopes: ["project:read"] });
  await show("updated", "B", b);

  const forged = await mstudio.deliverOnce(
    mstudio.event("SecretRotated", { id: a.id, secret: "attacker" }),
    { forge: true },
  );
  await show("forged", "A", a);
  await a.remove();
  await show("removed", "A", a);
  const replayed = await mstudio.replay(addition);
  await show("replayed", "A", a);
  await b.remove();
  await show("removed", "B", b);

  stdout.line();
  for (const [what, response] of Object.entries({ Forged: forged, Replayed: replayed })) {
    const { code } = await response.json();
    printTried(`${what} webhook`, `answered with ${response.status} ${code}`);
  }
  const changes = await db.select().from(journal).where(eq(journal.instanceId, a.id))
    .orderBy(journal.id);
  const names = changes.map(({ change }) => change).join(", ");
  printTried("Change handlers", `for A, once each: ${names}`);
}

/** Handlers write in the change's transaction: once per change, however often it is delivered. */
function storageWithJournal(db: PgliteDatabase) {
  const write =
    (change: string) =>
    async ({ instance, tx }: { instance: { id: string }; tx: Pick<typeof db, "insert"> }) => {
      await tx.insert(journal).values({ instanceId: instance.id, change });
    };
  return new PgExtensionStorage(db, extensionInstances, {
    lastEvents,
    on: {
      added: write("added"),
      updated: write("updated"),
      secretRotated: write("rotated"),
      removed: write("removed"),
    },
  });
}

/** A row written by this package's predecessor, read with its password and with another one. */
async function showOriginal(db: PgliteDatabase): Promise<void> {
  const id = "of-the-original";
  const table = original.buildExtensionInstanceTable(
    original.buildEncryptedTextColumn(original.buildEncryptionKey(MASTER_PASSWORD, SALT)),
  );
  type OriginalDatabase = ConstructorParameters<typeof original.PgExtensionStorage>[0];
  await new original.PgExtensionStorage(db as unknown as OriginalDatabase, table).upsertExtension({
    extensionInstanceId: id,
    contextId: "p-0815",
    consentedScopes: [],
    secret: "only-for-me",
  });
  const ofAnIntruder = buildExtensionInstanceTable(
    buildEncryptedTextColumn(buildEncryptionKey("wrong password", SALT)),
  );
  const refused = await new PgExtensionStorage(db, ofAnIntruder).getExtension(id)
    .then(() => "read, which must not be", ({ code, path }) => `${code}, at ${path}`);
  printTried("Wrong password", refused);
  const row = await new PgExtensionStorage(db, extensionInstances, { lastEvents }).getExtension(id);
  printTried("Original's row", `written by version 0.1.0, read as "${row?.secret}"`);
}

function printTried(what: string, result: string): void {
  stdout.line(styled("bold", what.padEnd(16)), ` ${result}`);
}

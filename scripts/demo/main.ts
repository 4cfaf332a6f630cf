/** The demo itself. */

import { eq } from "drizzle-orm";
import {
  buildEncryptedTextColumn,
  buildEncryptionKey,
  buildExtensionInstanceTable,
  createWebhookHandler,
  DecryptionError,
  MittwaldPublicKeys,
  PgExtensionStorage,
  withEncryption,
} from "../../mod.ts";
import { stdout } from "../../cli/output.ts";
import { type SimulatedInstance, SimulatedMstudio } from "../../testing/mod.ts";
import * as original from "../../tests/support/original.ts";
import { type DemoDatabase, openPglite, openScratchDatabase } from "./database.ts";
import { extensionInstances, journal, lastEvents, MASTER_PASSWORD, SALT } from "./schema.ts";
import { printHead, printRow, printTried } from "./table.ts";
import type { GuardedDirectory } from "../lib/guarded_directory.ts";
import { beginGuardedRun } from "../lib/guarded_run.ts";
import { fromFileUrl, join, repository } from "../lib/paths.ts";

const EXTENSION_ID = "demo-extension";

/** What is stored past the webhooks. */
const INSTANCE = { contextId: "p-0815", consentedScopes: [], secret: "only-for-me" };

/** Shows everything, and ends the program. */
export async function runDemo(): Promise<void> {
  const { directory, externalUrl, prefix, finish } = beginGuardedRun();
  Deno.env.set("TEST_DATABASE_PREFIX", prefix);
  await finish(async () => {
    await using database = externalUrl === undefined
      ? await openPglite()
      : await openScratchDatabase();
    stdout.line(`Database  ${database.name}`);
    await createTables(directory, database);
    await showInstances(database);
    await showWrongPassword(database);
    await showOriginal(database);
    stdout.line(`
Seen: secrets are encrypted in the database, and plain for the application.
What is forged or old was refused, and each change was handled once.

Next: README.md is the way into your extension, examples/ has complete ones.
      npx --yes deno task test   runs the tests, which takes some minutes`);
    return 0;
  });
}

/** Creates the tables as an application would: drizzle-kit writes the migration, Drizzle runs it. */
async function createTables(directory: GuardedDirectory, database: DemoDatabase): Promise<void> {
  const out = join(directory.path, "drizzle");
  const schema = fromFileUrl(new URL("./schema.ts", import.meta.url));
  const kit = await directory.spawn(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "npm:drizzle-kit", "generate", "--dialect=postgresql"]
      .concat(`--schema=${schema}`, `--out=${out}`),
    cwd: repository,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!kit.success) {
    const printed = [kit.stdout, kit.stderr].map((bytes) => new TextDecoder().decode(bytes));
    throw new Error(`Generating the migration: drizzle-kit failed: ${printed.join("")}`);
  }
  await database.migrate(out);
  stdout.line("Tables    by a migration that drizzle-kit wrote");
}

/** The life of two instances, and what an attacker can do about it. */
async function showInstances(database: DemoDatabase): Promise<void> {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: (request) => fetch(new Request(url, request)),
    maxAttempts: 1,
  });
  await using api = Deno.serve({ port: 0, onListen() {} }, mstudio.api);
  await using server = Deno.serve(
    { port: 0, onListen() {} },
    createWebhookHandler({
      storage: storageWithJournal(database),
      extensionId: EXTENSION_ID,
      publicKeys: new MittwaldPublicKeys({ apiUrl: `http://localhost:${api.addr.port}` }),
      onError: (error) => {
        // The replayed delivery is refused on purpose.
        if (error.code !== "ERR_STALE_EVENT") console.error(error);
      },
    }),
  );
  const url = `http://localhost:${server.addr.port}/webhooks`;
  stdout.line(`Webhooks  POST ${url}, by a simulated mStudio\n`);

  const show = async (event: string, name: string, { id }: SimulatedInstance) => {
    // What lies there is read past Drizzle, what the application reads goes through it.
    const [stored] = await database.query("SELECT * FROM extension_instance WHERE id = $1", id);
    const [read] = await withEncryption(database.db).select().from(extensionInstances)
      .where(eq(extensionInstances.id, id));
    if (!stored || !read) return printRow(event, name, "", "", "", "(no row)", "(no row)");
    const { context, active, variant_key = null, secret } = stored;
    const state = [context, active ? "yes" : "no", variant_key ?? "–", secret].map(String);
    printRow(event, name, ...state, String(read.secret));
  };

  printHead();
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
  // mStudio delivers at least once: an event can come again.
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
  expect(forged.status === 401, "the forged webhook was refused");

  await a.remove();
  await show("removed", "A", a);
  const replayed = await mstudio.replay(addition);
  await show("replayed", "A", a);
  expect(replayed.status === 409, "the replayed webhook was refused");
  await b.remove();
  await show("removed", "B", b);

  stdout.line();
  for (const [what, response] of Object.entries({ Forged: forged, Replayed: replayed })) {
    const { code } = await response.json();
    printTried(`${what} webhook`, `answered with ${response.status} ${code}`);
  }
  const changes = await database.query(
    'SELECT change FROM journal WHERE "instanceId" = $1 ORDER BY id',
    a.id,
  );
  const names = changes.map(({ change }) => change).join(", ");
  printTried("Change handlers", `for A, once each: ${names}`);
}

/** Handlers write in the transaction that makes the change: for each change once, however often it is delivered. */
function storageWithJournal({ db }: DemoDatabase) {
  const write = (change: string) =>
  async (
    { instance, tx }: { instance: { id: string }; tx: Pick<DemoDatabase["db"], "insert"> },
  ) => {
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

/** A row cannot be read with another password. */
async function showWrongPassword(database: DemoDatabase): Promise<void> {
  const storage = new PgExtensionStorage(database.db, extensionInstances, { lastEvents });
  await storage.upsertExtension({ ...INSTANCE, extensionInstanceId: "right-password" });
  const table = buildExtensionInstanceTable(
    buildEncryptedTextColumn(buildEncryptionKey("wrong password", SALT)),
  );
  const intruder = new PgExtensionStorage(database.db, table);
  const error = await intruder.getExtension("right-password").catch((error) => error);
  expect(error instanceof DecryptionError, "the wrong password was refused");
  printTried("Wrong password", `${error.code}, at ${error.path}`);
}

/** What the npm package that this one continues has written can be read. */
async function showOriginal(database: DemoDatabase): Promise<void> {
  const table = original.buildExtensionInstanceTable(
    original.buildEncryptedTextColumn(original.buildEncryptionKey(MASTER_PASSWORD, SALT)),
  );
  const db = database.db as unknown as ConstructorParameters<typeof original.PgExtensionStorage>[0];
  await new original.PgExtensionStorage(db, table)
    .upsertExtension({ ...INSTANCE, extensionInstanceId: "of-the-original" });
  const row = await new PgExtensionStorage(database.db, extensionInstances, { lastEvents })
    .getExtension("of-the-original");
  expect(row?.secret === INSTANCE.secret, "the original's row was read");
  printTried("Original's row", `written by version 0.1.0, read as "${row?.secret}"`);
}

/** A demo that shows something else than it says must not look like one that works. */
function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`Running the demo: not true: ${what}`);
}

/**
 * `deno task demo`: the main job, over HTTP, on an embedded database.
 *
 * A simulated mStudio delivers the life of two instances to a real server with the webhook handler; after
 * each event the demo shows what lies in the database and what the application reads. With
 * TEST_DATABASE_URL it uses that server instead, in a scratch database that it drops at the end.
 *
 * @module
 */

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
} from "../mod.ts";
import { type SimulatedInstance, SimulatedMstudio } from "../testing/mod.ts";
import * as original from "../tests/support/original.ts";
import { type DemoDatabase, openPglite, openScratchDatabase } from "./demo/database.ts";
import { extensionInstances, lastEvents, MASTER_PASSWORD, SALT } from "./demo/schema.ts";
import { printHead, printRow } from "./demo/table.ts";
import { GuardedDirectory } from "./lib/guarded_directory.ts";
import { fromFileUrl, join, repository } from "./lib/paths.ts";
import { dropCommand, scratchPrefix } from "./lib/scratch_databases.ts";

const EXTENSION_ID = "demo-extension";

/** What is stored past the webhooks. */
const INSTANCE = { contextId: "p-0815", consentedScopes: [], secret: "only-for-me" };

const serverUrl = Deno.env.get("TEST_DATABASE_URL") || undefined;
const prefix = scratchPrefix();
// The command that drops the scratch database should this program be killed looks there.
if (serverUrl !== undefined) Deno.env.set("TEST_SERVER_URL", serverUrl);
{
  await using directory = new GuardedDirectory(
    serverUrl === undefined ? {} : { finally: dropCommand(prefix) },
  );
  await using database = serverUrl === undefined
    ? await openPglite()
    : await openScratchDatabase(serverUrl, `${prefix}demo`);
  console.log(`Database  ${database.name}`);
  await createTables(directory, database);
  await showInstances(database);
  await showWrongPassword(database);
  await showOriginal(database);
}

/** Creates the tables as an application would: drizzle-kit writes the migration, Drizzle runs it. */
async function createTables(directory: GuardedDirectory, database: DemoDatabase): Promise<void> {
  const out = join(directory.path, "drizzle");
  const schema = fromFileUrl(new URL("./demo/schema.ts", import.meta.url));
  const kit = directory.spawn(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "npm:drizzle-kit", "generate", "--dialect=postgresql"]
      .concat(`--schema=${schema}`, `--out=${out}`),
    cwd: repository,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await kit.output();
  if (!success) {
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    throw new Error(
      `Generating the migration: drizzle-kit failed: ${decode(stdout)}${decode(stderr)}`,
    );
  }
  await database.migrate(out);
  console.log(
    "Tables    extension_instance and extension_instance_last_event, by a migration of drizzle-kit",
  );
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
      storage: new PgExtensionStorage(database.db, extensionInstances, { lastEvents }),
      extensionId: EXTENSION_ID,
      publicKeys: new MittwaldPublicKeys({ apiUrl: `http://localhost:${api.addr.port}` }),
      onError: (error) => console.error(error),
    }),
  );
  const url = `http://localhost:${server.addr.port}/webhooks`;
  console.log(`Webhooks  POST ${url}, delivered by a simulated mStudio\n`);

  const show = async (event: string, name: string, { id }: SimulatedInstance) => {
    // What lies there is read past Drizzle, what the application reads goes through it.
    const [stored] = await database.query(
      "SELECT * FROM extension_instance WHERE id = $1",
      id,
    );
    const [read] = await withEncryption(database.db).select().from(extensionInstances)
      .where(eq(extensionInstances.id, id));
    if (!stored || !read) return printRow(event, name, "", "", "", "(no row)", "(no row)");
    printRow(
      event,
      name,
      String(stored.context),
      stored.active ? "yes" : "no",
      String(stored.variant_key ?? "–"),
      String(stored.secret),
      String(read.secret),
    );
  };

  printHead();
  const a = await mstudio.addInstance({
    context: { id: "c-4711", kind: "customer" },
    secret: "first-secret-A",
    variantKey: "pro",
  });
  await show("ExtensionAddedToContext", "A", a);
  const b = await mstudio.addInstance({ secret: "first-secret-B" });
  await show("ExtensionAddedToContext", "B", b);
  await a.update({ enabled: false, variantKey: "basic" });
  await show("InstanceUpdated", "A", a);
  await a.rotateSecret("second-secret-A");
  await show("SecretRotated", "A", a);
  await b.rotateSecret("second-secret-B");
  await show("SecretRotated", "B", b);
  await b.update({ enabled: true, consentedScopes: ["project:read"] });
  await show("InstanceUpdated", "B", b);

  const forged = await mstudio.deliverOnce(
    mstudio.event("SecretRotated", { id: a.id, secret: "attacker" }),
    { forge: true },
  );
  const { code } = await forged.json();
  await show("forged, so refused", "A", a);
  expect(forged.status === 401, "the forged webhook was refused");

  await a.remove();
  await show("InstanceRemovedFromContext", "A", a);
  await b.remove();
  await show("InstanceRemovedFromContext", "B", b);
  console.log(`\nForged webhook   answered with ${forged.status} ${code}`);
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
  console.log(`Wrong password   ${error.code}, at ${error.path}`);
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
  console.log(`Original's row   written by version 0.1.0, read as "${row?.secret}"`);
}

/** A demo that shows something else than it says must not look like one that works. */
function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`Running the demo: not true: ${what}`);
}

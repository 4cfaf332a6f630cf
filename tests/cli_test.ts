import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { encodeHex } from "@std/encoding";
import { stripVTControlCharacters } from "node:util";
import postgres from "postgres";
import { buildEncryptionKey } from "../mod.ts";
import {
  type CommandOptions,
  createFolder,
  runCommand,
  runOnTerminal,
  startCommand,
} from "./support/cli.ts";
import { copyPackage } from "./support/copied_package.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import { createDatabase, poll } from "../tools/postgres/databases.ts";
import { runProgram } from "../tools/program.ts";

const SCHEMA = new URL("./fixtures/cli/schema.ts", import.meta.url).pathname;
const REEXPORT = `export * from "file://${SCHEMA}";`;
const PROJECT = `--schema ${SCHEMA} --casing snake_case`;
const OLD_PASSWORD = "the old master password";
const SALT = "the salt";
const KEYS = { ENCRYPTION_MASTER_PASSWORD: "the new master password", ENCRYPTION_SALT: SALT };
const newKey = buildEncryptionKey(KEYS.ENCRYPTION_MASTER_PASSWORD, SALT);
const NOWHERE = "postgres://127.0.0.1:1/nothing";

/** The schema module's tables, some instances, and the environment of step 2 of the procedure. */
async function openDatabase(instances: number) {
  const database = await createDatabase();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  const oldKey = buildEncryptionKey(OLD_PASSWORD, SALT);
  const numbers = Array.from({ length: instances }, (_, index) => index);
  const secrets = await Promise.all(numbers.map((number) => oldKey.encrypt(`secret ${number}`)));
  await sql.unsafe(`${extensionInstanceDdl};
    CREATE SCHEMA tenant;
    CREATE TABLE tenant.token (owner_id bigint, name text, token_value text, PRIMARY KEY (owner_id, name))`);
  await sql`
    INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
    SELECT id, 'p-abc123', true, '{}', secret
    FROM unnest(${numbers.map(String)}::text[], ${secrets}::text[]) AS row (id, secret)`;
  return {
    sql,
    oldKey,
    url: database.url,
    env: { ...KEYS, OLD_MASTER_PASSWORD: OLD_PASSWORD, DATABASE_URL: database.url },
    async secrets() {
      const rows = await sql<{ secret: string }[]>`SELECT secret FROM extension_instance`;
      return rows.map(({ secret }) => secret);
    },
    async [Symbol.asyncDispose]() {
      await sql.end();
      await database.drop();
    },
  };
}

const run = (command: string, options: CommandOptions = {}) =>
  runCommand(command.split(" "), options);

/** The command must print none of these. */
function assertNoSecrets(output: string, ...secrets: string[]): void {
  const untold = [OLD_PASSWORD, KEYS.ENCRYPTION_MASTER_PASSWORD, SALT, "hunter2", ...secrets];
  for (const secret of untold) assert(!output.includes(secret));
}

/** Failing commands and their messages. */
type Failures = (readonly [
  command: string,
  message: string | RegExp,
  options?: { env?: Record<string, string>; files?: Record<string, string> },
])[];

async function assertFailures(t: Deno.TestContext, expected: number, failures: Failures) {
  for (const [command, message, { env = {}, files } = {}] of failures) {
    await t.step(`${command}: ${message}`, async () => {
      await using folder = await createFolder(files);
      const { code, stdout, stderr } = await run(command, { env, cwd: folder.path });
      assertEquals([code, stdout], [expected, ""], stderr);
      if (typeof message !== "string") assertMatch(stderr, message);
      else assertStringIncludes(stderr, `${command.split(" ")[0]}: ${message}`);
      assertNoSecrets(stderr);
    });
  }
}

Deno.test("status and reencrypt: from the old key to the new one", async () => {
  await using database = await openDatabase(1_234);
  const { sql, env, oldKey } = database;
  await sql`INSERT INTO tenant.token VALUES
    (1, 'a', ${await newKey.encrypt("token a")}), (2, 'b', ${await oldKey.encrypt("token b")}),
    (3, 'c', NULL)`;
  const json = await run(`status --json ${PROJECT}`, { env });
  assertEquals([json.code, JSON.parse(json.stdout)], [0, {
    tables: {
      extension_instance: { secret: { current: 0, otherKey: 1234, unreadable: 0, null: 0 } },
      "tenant.token": { tokenValue: { current: 1, otherKey: 1, unreadable: 0, null: 1 } },
    },
  }]);
  const before = await run(`status ${PROJECT}`, { env });
  assertEquals(before, {
    code: 0,
    stderr: "",
    stdout: `extension_instance
  column  current  other key  unreadable  null
  secret        0      1,234           0     0

tenant.token
  column      current  other key  unreadable  null
  tokenValue        1          1           0     1

1,235 values are not under the current key: keep the other key and run reencrypt
`,
  });
  const dry = await run(`reencrypt ${PROJECT} --dry-run`, { env });
  assertEquals([dry.code, dry.stdout], [
    0,
    `extension_instance: 1,234 rows, 1,234 values would be re-encrypted (dry run, nothing was written)
tenant.token: 3 rows, 1 value would be re-encrypted (dry run, nothing was written)
`,
  ]);
  for (const line of dry.stderr.trim().split("\n")) assertMatch(line, /\d would be re-encrypted, /);
  assertEquals(await run(`status ${PROJECT}`, { env }), before);

  const { DATABASE_URL, ...withoutUrl } = env;
  const command = `reencrypt ${PROJECT} --batch-size 100 --database-url ${DATABASE_URL}`;
  const done = await run(command, { env: withoutUrl });
  assertEquals([done.code, done.stdout], [
    0,
    `extension_instance: 1,234 rows, 1,234 values re-encrypted
tenant.token: 3 rows, 1 value re-encrypted
`,
  ]);
  // Without a terminal: plain lines, one per tenth.
  assertEquals(done.stderr.split("\n").slice(0, 3), [
    "--database-url contains a password, which other users of this machine can see; set DATABASE_URL instead",
    "extension_instance: 200 of 1,234 rows, 200 re-encrypted, 0 unreadable",
    "extension_instance: 300 of 1,234 rows, 300 re-encrypted, 0 unreadable",
  ]);
  assertStringIncludes(done.stderr, "extension_instance: 1,234 of 1,234 rows, 1,234 re-encrypted");
  for (const secret of await database.secrets()) {
    assertMatch(await newKey.decrypt(secret), /^secret \d+$/);
  }
  // Step 4: without the old key.
  const after = await run(`status ${PROJECT}`, { env: { ...env, OLD_MASTER_PASSWORD: "" } });
  assertEquals(after.code, 0);
  assertStringIncludes(after.stdout, "All values are under the current key\n");
  for (const { stdout, stderr } of [before, dry, done, after]) {
    assertNoSecrets(stdout + stderr, ...await database.secrets());
  }
});

Deno.test("status and reencrypt: values that cannot be written or read are reported as failures", async () => {
  await using database = await openDatabase(3);
  const { sql, env } = database;
  await sql.unsafe(`
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
    CREATE TRIGGER keep BEFORE UPDATE ON extension_instance
      FOR EACH ROW WHEN (OLD.id <> '1') EXECUTE FUNCTION keep()`);
  const kept = await run(`reencrypt ${PROJECT}`, { env });
  assertEquals([kept.code, kept.stdout], [
    1,
    `extension_instance: 3 rows, 1 value re-encrypted
2 rows that a trigger kept from being written correctly:
  {"id":"0"}
  {"id":"2"}
tenant.token: 0 rows, 0 values re-encrypted
`,
  ]);
  await sql`DROP TRIGGER keep ON extension_instance`;
  await sql`INSERT INTO tenant.token SELECT number, '"quoted"', 'damaged'
    FROM generate_series(9007199254740993, 9007199254741094) AS number`;
  const before = await run(`status ${PROJECT}`, { env });
  const counted = `
2 values are not under the current key: keep the other key and run reencrypt
102 values cannot be read with any key
`;
  assertEquals([before.code, before.stdout.slice(-counted.length)], [1, counted]);
  const unreadable = await run(`reencrypt ${PROJECT}`, { env });
  assertEquals([unreadable.code, unreadable.stdout.split("\n").length], [1, 105]);
  assert(unreadable.stdout.startsWith(`extension_instance: 3 rows, 2 values re-encrypted
tenant.token: 102 rows, 0 values re-encrypted
102 rows with a value that no key can read:
  {"ownerId":"9007199254740993","name":"\\"quoted\\""}
`));
  assert(unreadable.stdout.endsWith("  and 2 rows more\n"));
  // Unreadable values may need another key, so nothing claims that none is needed.
  const after = await run(`status ${PROJECT}`, { env });
  assertEquals(after.code, 1);
  assert(after.stdout.endsWith("\n\n102 values cannot be read with any key\n"));
});

Deno.test("reencrypt and status: a wrong password is reported in one sentence, at once", async () => {
  await using database = await openDatabase(2_000);
  const env = { ...database.env, OLD_MASTER_PASSWORD: "another" };
  const sentence = "No value can be read with the available keys: most likely the values were " +
    "encrypted with another master password or salt\n";
  const { code, stdout, stderr } = await run(`reencrypt ${PROJECT} --batch-size 10`, { env });
  assertEquals([code, stdout, stderr], [
    1,
    `extension_instance: ${sentence}tenant.token: 0 rows, 0 values re-encrypted\n`,
    "",
  ]);
  const status = await run(`status ${PROJECT}`, { env });
  assertEquals([status.code, status.stdout.endsWith(`\n\n${sentence}`)], [1, true]);
  // One readable value is enough to continue.
  await database.sql`UPDATE extension_instance SET secret = ${await newKey.encrypt(
    "x",
  )} WHERE id = '999'`;
  assertStringIncludes((await run(`reencrypt ${PROJECT}`, { env })).stdout, "1,999 rows with");
});

Deno.test("an id's control characters reach no terminal", async () => {
  await using database = await openDatabase(0);
  const id = "\x9b2J\x7f\u202eevil\u2028\n";
  await database
    .sql`INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
    VALUES (${id}, 'p', true, '{}', 'damaged')`;
  const { code, stdout } = await run(`reencrypt ${PROJECT}`, database);
  assertEquals(code, 1);
  assertStringIncludes(stdout, '{"id":"\\u009b2J\\u007f\\u202eevil\\u2028\\n"}\n');
  assertEquals(JSON.parse(/\{.*\}/.exec(stdout)![0]), { id });
  const { stderr } = await run("status --schema \x1b[2J\u202e.ts");
  assertEquals(stderr, "status: Loading \\u{202e}.ts: there is no such file\n");
});

/** Return to the start of the line, and erase it. */
const CLEAR = "\r\x1b[K";

for (const command of ["reencrypt --dry-run --batch-size 10", "status"]) {
  Deno.test(`${command} on a terminal: a bar that disappears, and colours`, async () => {
    await using database = await openDatabase(1_000);
    const { env } = database;
    const onTerminal = async (columns: number, variables: typeof env & { NO_COLOR?: string }) => {
      const { code, stdout } = await runOnTerminal(`${command} ${PROJECT}`, variables, columns);
      assertEquals(code, 0);
      return stdout;
    };
    const wide = await onTerminal(100, env);
    assertStringIncludes(wide, "\x1b[32m█");
    assertStringIncludes(wide, " 50 %  500 of 1,000 rows");
    // The last frame is erased before the report.
    assertStringIncludes(wide, `${CLEAR}\x1b[1mextension_instance\x1b[22m`);

    const narrow = await onTerminal(30, { ...env, NO_COLOR: "1" });
    assert(!narrow.replaceAll(CLEAR, "").includes("\x1b"));
    // Everything fits, so that no line wraps.
    for (const [output, columns] of [[wide, 100], [narrow, 30]] as const) {
      const drawn = stripVTControlCharacters(output.replaceAll(CLEAR, "\n")).split(/\r?\n/)
        .filter((frame) => frame.includes("%"));
      assertGreater(drawn.length, 1);
      for (const frame of drawn) assertLess(frame.length, columns);
    }
  });
}

Deno.test("reencrypt: signals stop it between two batches, SIGKILL anywhere; another run continues", async () => {
  await using database = await openDatabase(10_000);
  let left = 10_000;
  const start = async () => {
    const command = startCommand(`reencrypt ${PROJECT} --batch-size 10`.split(" "), database);
    await poll(() => /[1-9][\d,]* re-encrypted/.test(command.printed.stderr));
    return command;
  };
  const count = (number: string) => Number(number.replace(",", ""));
  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    const command = await start();
    command.kill(signal);
    // As package runners pass it on: at once, since a second later it would be another one.
    command.kill(signal);
    const { code, stdout, stderr } = await command.ended;
    assertEquals(code, status);
    assertStringIncludes(stderr, "Stopping after this batch; press Ctrl-C again to stop at once");
    const [, values] =
      /^extension_instance: [\d,]+ of 10,000 rows, ([\d,]+) values re-encrypted\nStopped early; run it again to continue\n$/
        .exec(stdout)!;
    left -= count(values!);
    const { stdout: told } = await run(`status ${PROJECT}`, database);
    assertStringIncludes(told, `\n${left.toLocaleString("en-US")} values are not under`);
    assertNoSecrets(stdout + stderr, ...(await database.secrets()).slice(0, 1));
  }
  const killed = await start();
  killed.kill("SIGKILL");
  await killed.ended;
  const { stdout } = await run(`status ${PROJECT}`, database);
  const [current, other] = /\n {2}secret +([\d,]+) +([\d,]+) +0 +0\n/.exec(stdout)!.slice(1)
    .map(count) as [number, number];
  assert(other > 0 && other < left, stdout);
  assertEquals(current + other, 10_000);
  assertEquals((await run(`reencrypt ${PROJECT}`, database)).code, 0);
  const secrets = await Promise.all((await database.secrets()).map((each) => newKey.decrypt(each)));
  assertEquals(new Set(secrets).size, 10_000);
});

Deno.test("reencrypt: a second signal ends it at once, even while the database waits", async () => {
  await using database = await openDatabase(1);
  await database.sql.begin(async (sql) => {
    await sql`SELECT FROM extension_instance FOR UPDATE`;
    const command = startCommand(`reencrypt ${PROJECT}`.split(" "), database);
    const waiting = () =>
      sql`SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`;
    await poll(async () => (await waiting()).length > 0);
    command.kill("SIGINT");
    await poll(() => command.printed.stderr.includes("Stopping"));
    let status: number | undefined;
    void command.ended.then(({ code }) => status = code);
    await poll(() => {
      if (status === undefined) command.kill("SIGINT");
      return status !== undefined;
    }, { intervalMs: 100 });
    assertEquals(status, 130);
  });
});

Deno.test("every command has help and a version", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  for (const command of ["status --version", "--version"]) {
    assertEquals(await run(command), { code: 0, stdout: `${version}\n`, stderr: "" });
  }
  const { stdout: help } = await run("--help");
  for (const command of ["keygen", "mstudio", "status", "reencrypt"]) {
    assertStringIncludes(help, `\n  ${command} `);
    const { code, stdout, stderr } = await run(`${command} -h`);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, `Usage: mitthooks-drizzle ${command} `);
  }
  assertEquals((await run("help")).stdout, help);
  assertEquals((await run("help status")).stdout, (await run("status --help")).stdout);
  const unknown: [args: string[], told: string][] = [
    [[], help],
    [["hunter2"], `There is no such command\n${help}`],
    [["statsu"], `There is no such command; did you mean status?\n${help}`],
    [["re-encrypt", "--dry-run"], `There is no such command; did you mean reencrypt?\n${help}`],
    [["help", "keyge"], `There is no such command; did you mean keygen?\n${help}`],
  ];
  for (const [args, told] of unknown) {
    assertEquals(await runCommand(args), { code: 2, stdout: "", stderr: told });
  }
});

Deno.test("invalid arguments: status 2, and they are not repeated", (t) =>
  assertFailures(t, 2, [
    ["status", "give the schema module: --schema ./schema.ts"],
    ["reencrypt", "give the schema module: --schema ./schema.ts"],
    [`status --schema ${SCHEMA}`, "set DATABASE_URL, or give --database-url"],
    [
      "status --database-url=postgres://user:hunter2@a:5432,b:5432/name",
      /^--database-url contains a password, .*\nstatus: give the schema module/,
    ],
    [`status --schema ${SCHEMA} --casing x`, "--casing is neither snake_case nor camelCase"],
    ["keygen --master-password hunter2", "there is an unknown option: --master-password\n"],
    ["keygen --masterPassword2=hunter2", "there is an unknown option: --masterPassword2\n"],
    ["keygen --Raw:hunter2", "there is an unknown option: --Raw\n"],
    ["keygen hunter2", "there is an argument without an option"],
    ["keygen --raw=hunter2", "an option lacks its value, or must not have one: --raw\n"],
    ["keygen --write", "an option lacks its value, or must not have one: --write\n"],
    ["mstudio", "give the webhooks' address: --target http://localhost:8000/webhooks"],
    ["mstudio --target hunter2", "--target is not an HTTP URL"],
    ["mstudio --target=ftp://localhost/", "--target is not an HTTP URL"],
    ["mstudio --target=http://localhost/ --serve=65536", "--serve is not a port"],
    ...["0", "-1", "1.5", "hunter2", "1e3", "9007199254740992"].map((size) =>
      [`reencrypt --batch-size=${size}`, "--batch-size is not a positive integer"] as const
    ),
  ]));

Deno.test("modules, files and keys that cannot be used", async (t) => {
  await using copy = await copyPackage(true);
  const env = { ...KEYS, DATABASE_URL: NOWHERE };
  const schema = (text: string) => ({ env, files: { "schema.ts": text } });
  const config = (text: string) => ({ env, files: { "drizzle.config.ts": text } });
  const withoutKit = config('import "npm-package-that-is-not-there";');
  const strange = schema(`${REEXPORT}
import { integer, pgTable } from "drizzle-orm/pg-core";
import { buildEncryptedTextColumn, importEncryptionKey } from "${copy.module("pg/mod.ts")}";
const secret = buildEncryptedTextColumn(importEncryptionKey(new Uint8Array(32)));
export const strange = pgTable("strange", { id: integer().primaryKey(), secret: secret() });`);
  const foreign =
    "Loading ./schema.ts: the encrypted columns of strange are made by another version of this package";
  const STATUS = "status --schema ./schema.ts";
  await assertFailures(t, 1, [
    [STATUS, "Loading ./schema.ts: there is no such file", { env }],
    [
      STATUS,
      /Loading \.\/schema\.ts: Import "@\/env" not a dependency.*"imports" of deno\.json/,
      schema('import "@/env";'),
    ],
    [STATUS, "Loading ./schema.ts: it is broken", schema('throw new Error("it is broken")')],
    [
      STATUS,
      "Loading ./schema.ts: none of its exports is a table with",
      schema("export const a = {}"),
    ],
    [STATUS, foreign, strange],
    ["reencrypt --schema ./schema.ts", foreign, strange],
    ["status --config nowhere.ts", "Loading nowhere.ts: ", { env }],
    ["status --env-file nowhere", "Reading nowhere: ENOENT", { env }],
    ["keygen --write missing/.env", "Writing missing/.env: ENOENT"],
    ["keygen --write .", "Writing .: it is not a regular file"],
    ["status --env-file .", "Reading .: it is neither a file nor a pipe", { env }],
    ["status --env-file big", "Reading big: it is larger than 1 MiB", {
      env,
      files: { "big": "#".repeat(1024 ** 2 + 1) },
    }],
    [
      "status",
      'Reading drizzle.config.ts: its dialect is "mysql", this package needs "postgresql"\n',
      config('export default { dialect: "mysql" };'),
    ],
    ["status", "Loading drizzle.config.ts: ", withoutKit],
    [
      `status --schema ${SCHEMA}`,
      /^Loading drizzle\.config\.ts: [^]*Continuing without it: give --casing if[^]*\nstatus: .*ECONNREFUSED/,
      withoutKit,
    ],
  ]);
});

Deno.test("unusable databases: the password is not printed", async (t) => {
  await using database = await openDatabase(1);
  const at = (changes: Partial<URL>) => Object.assign(new URL(database.url), changes).href;
  const password = "hunter2";
  const on = (url: string) => ({ env: { ...KEYS, DATABASE_URL: url } });
  const refused = /could not be reached: .*ECONNREFUSED/;
  const wrong = /could not be reached: password authentication failed/;
  const broken = /its URL is invalid/;
  await assertFailures(t, 1, [
    [`status ${PROJECT}`, refused, on(at({ port: "1", password }))],
    [`reencrypt ${PROJECT}`, refused, on(at({ port: "1", password }))],
    [`status ${PROJECT}`, wrong, on(at({ password }))],
    [`status ${PROJECT}`, "Connecting to the database: it could not be reached within 1 s", {
      env: {
        ...KEYS,
        DATABASE_URL: `postgres://user:${password}@127.0.0.1:1,127.0.0.1:2/name`,
        PGCONNECT_TIMEOUT: "1",
      },
    }],
    [`status ${PROJECT}`, broken, on("not a URL: hunter2")],
    [`reencrypt ${PROJECT}`, broken, on("postgres://user:hunter2@[broken/name")],
    [
      `status ${PROJECT}`,
      /^status: Building an encryption key: masterPassword is empty, salt is empty; the key was built at \S+schema\.ts:\d+:\d+, and `npx/,
      { env: { DATABASE_URL: database.url } },
    ],
  ]);
  await database.sql`DROP TABLE extension_instance`;
  const missing = "Running reencrypt: the table does not exist, run the migrations first: " +
    'relation "extension_instance" does not exist';
  await assertFailures(t, 1, [[`reencrypt ${PROJECT}`, missing, { env: database.env }]]);
});

Deno.test("schema, database and casing come from drizzle.config.ts, the keys from --env-file", async (t) => {
  await using database = await openDatabase(2);
  const { hostname, port, username, password, pathname } = new URL(database.url);
  const parts = {
    host: hostname,
    port: Number(port),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: pathname.slice(1),
  };
  const envFile = [
    "# the keys",
    `export ENCRYPTION_MASTER_PASSWORD="${KEYS.ENCRYPTION_MASTER_PASSWORD}" # not the old one`,
    `ENCRYPTION_SALT='${SALT}'\r`,
    `OLD_MASTER_PASSWORD=${OLD_PASSWORD}`,
    `THE_DATABASE=${database.url}`,
  ].join("\n");
  const configs = [
    ['"./schema.ts"', "{ url: process.env.THE_DATABASE }"],
    ['["./sch*.ts"]', JSON.stringify(parts)],
    ['"./tables"', "{ url: process.env.THE_DATABASE }"],
  ];
  for (const [schema, dbCredentials] of configs) {
    await t.step(`${schema}`, async () => {
      await using folder = await createFolder({
        "drizzle.config.ts": `import process from "node:process";
          export default { dialect: "postgresql", schema: ${schema}, casing: "snake_case",
            dbCredentials: ${dbCredentials} };`,
        "schema.ts": REEXPORT,
        "tables/all.ts": REEXPORT,
        ".env.local": envFile,
      });
      const { code, stdout, stderr } = await run("status --env-file .env.local", {
        cwd: folder.path,
      });
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "secret        0          2           0     0");
    });
  }
});

Deno.test("options take precedence over drizzle.config.ts, and the environment over --env-file", async () => {
  await using database = await openDatabase(1);
  await using folder = await createFolder({
    "my.config.ts": `export default { dialect: "postgresql", schema: "./missing.ts",
      casing: "camelCase", dbCredentials: { url: "${NOWHERE}" } };`,
    ".env": "ENCRYPTION_SALT=another\nOLD_MASTER_PASSWORD=x",
  });
  const { code, stderr } = await run(`status ${PROJECT} --config my.config.ts --env-file .env`, {
    env: database.env,
    cwd: folder.path,
  });
  assertEquals([code, stderr], [0, ""]);
});

/** Length and code of the message that requests TLS (PostgreSQL manual, 53.7, SSLRequest). */
const SSL_REQUEST = "00000008" + "04d2162f";

Deno.test("TLS of drizzle.config.ts: requested first, and never dropped", async (t) => {
  const first: string[] = [];
  const server = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const serving = (async () => {
    for await (const connection of server) {
      const bytes = new Uint8Array(8);
      await connection.read(bytes);
      first.push(encodeHex(bytes));
      // Refuses TLS; nothing may be sent afterwards.
      await connection.write(new TextEncoder().encode("N"));
      if (await connection.read(bytes) !== null) first.push(encodeHex(bytes));
      connection.close();
    }
  })();
  const { port } = server.addr;
  const url = `postgres://user:hunter2@127.0.0.1:${port}/name`;
  const parts = { host: "127.0.0.1", port, user: "user", password: "hunter2", database: "name" };
  const schema = SCHEMA;
  const config = (dbCredentials: object, url?: string) => ({
    env: { ...KEYS, PGCONNECT_TIMEOUT: "1", ...url && { DATABASE_URL: url } },
    files: {
      "drizzle.config.ts": `export default ${JSON.stringify({ schema, dbCredentials })}`,
    },
  });
  const cases: Record<string, { env: Record<string, string>; files: Record<string, string> }> = {
    "parts": config({ ...parts, ssl: true }),
    "a mode": config({ ...parts, ssl: "require" }),
    "an object": config({ ...parts, ssl: { rejectUnauthorized: false } }),
    "a URL": config({ url, ssl: true }),
    "a URL of the environment": config({ ...parts, host: "elsewhere", ssl: "verify-full" }, url),
  };
  for (const [what, { env, files }] of Object.entries(cases)) {
    await t.step(what, async () => {
      first.length = 0;
      await using folder = await createFolder(files);
      const { code, stdout, stderr } = await run("status", { env, cwd: folder.path });
      assertEquals([code, stdout], [1, ""]);
      assertNoSecrets(stderr);
      assert(first.length > 0, stderr);
      // At most a TLS record (RFC 8446, 5.1: a handshake's starts with 22 and 3).
      for (const bytes of first) assertMatch(bytes, new RegExp(`^(${SSL_REQUEST}|1603)`));
      assertEquals(first[0], SSL_REQUEST);
    });
  }
  server.close();
  await serving;
  await assertFailures(t, 1, [
    ["status", "Connecting to the database: drizzle-kit's configuration has ssl, and its url has", {
      ...config({ url: `${url}?sslmode=disable`, ssl: true }),
    }],
    [
      "status",
      "Reading drizzle.config.ts: ssl of its dbCredentials is not a boolean, an object or",
      config({ ...parts, ssl: "yes" }),
    ],
    // With an unknown TLS setting, nothing connects over a network.
    [`status --schema ${SCHEMA}`, /It may ask for TLS: .* add sslmode/, {
      env: { ...KEYS, DATABASE_URL: "postgres://user:hunter2@db.example/name" },
      files: { "drizzle.config.ts": 'import "npm-package-that-is-not-there";' },
    }],
  ]);
});

Deno.test("--env-file is read exactly as by the runtime", async () => {
  const lines = [
    "A='it''s'",
    'B="a $$ in \\n quotes"',
    "C=pa$$word",
    "D: colon",
    'E="in"ner"',
    "F=x#y",
    "G=$C",
    "C=second",
    'H="several\nlines"',
    "TAKEN=from the file",
  ];
  await using folder = await createFolder({
    ".env": lines.join("\n"),
    "schema.ts": "throw new Error(JSON.stringify(" +
      "Object.entries(Deno.env.toObject()).filter(([name]) => /^([A-Z]|TAKEN)$/.test(name)).sort()))",
    "print.ts": "console.log(JSON.stringify(" +
      "Object.entries(Deno.env.toObject()).filter(([name]) => /^([A-Z]|TAKEN)$/.test(name)).sort()))",
  });
  const { path } = folder;
  const env = { TAKEN: "before" };
  const printed = ["run", "-A", "--env-file=.env", "print.ts"];
  const { stdout } = await runProgram(path, Deno.execPath(), printed, env);
  const expected = stdout.trim();
  assertStringIncludes(expected, '["TAKEN","before"]');
  const told = `status: Loading ./schema.ts: ${expected}\n`;
  const command = "status --schema ./schema.ts --env-file";
  assertEquals((await run(`${command} .env`, { cwd: path, env })).stderr, told);
  if (Deno.build.os === "windows") return;
  // Password managers pass variables through a pipe.
  await runProgram(path, "mkfifo", ["pipe"]);
  const piped = run(`${command} pipe`, { cwd: path, env });
  await Deno.writeTextFile(`${path}/pipe`, lines.join("\n"));
  assertEquals((await piped).stderr, told);
});

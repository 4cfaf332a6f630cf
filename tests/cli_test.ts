import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { stripVTControlCharacters } from "node:util";
import postgres from "postgres";
import { buildEncryptionKey, type EncryptionKey, importEncryptionKey } from "../mod.ts";
import { copyPackage } from "./support/copied_package.ts";
import { cliCommand, cliEnvironment, runCommand, startCommand } from "./support/cli.ts";
import { extensionInstanceDdl } from "./support/extension_instance.ts";
import { createDatabase, poll } from "./support/postgres.ts";
import { TerminalProgram } from "./support/pseudo_terminal.ts";

const SCHEMA = new URL("./fixtures/cli/schema.ts", import.meta.url).pathname;
const OLD_PASSWORD = "the old master password";
const NEW_PASSWORD = "the new master password";
const SALT = "the salt";
const oldKey = buildEncryptionKey(OLD_PASSWORD, SALT);
const newKey = buildEncryptionKey(NEW_PASSWORD, SALT);
const unknownKey = importEncryptionKey(new Uint8Array(32));

const COLUMN_NAMES = { contextId: "context_id", createdAt: "created_at", updatedAt: "updated_at" };

/** A database with the tables of the schema module, and the environment of step 2 of the procedure. */
async function openDatabase() {
  const database = await createDatabase();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  let ddl = extensionInstanceDdl;
  for (const [name, snakeCase] of Object.entries(COLUMN_NAMES)) {
    ddl = ddl.replaceAll(name, snakeCase);
  }
  await sql.unsafe(`${ddl};
    CREATE SCHEMA tenant;
    CREATE TABLE tenant.token (owner_id bigint, name text, token_value text, PRIMARY KEY (owner_id, name));
    CREATE TABLE plain (id int PRIMARY KEY, note text)`);
  return {
    sql,
    url: database.url,
    env: {
      DATABASE_URL: database.url,
      ENCRYPTION_MASTER_PASSWORD: NEW_PASSWORD,
      ENCRYPTION_SALT: SALT,
      OLD_MASTER_PASSWORD: OLD_PASSWORD,
    },
    async storeInstances(count: number, key: EncryptionKey) {
      const numbers = Array.from({ length: count }, (_, index) => index);
      const secrets = await Promise.all(numbers.map((number) => key.encrypt(`secret ${number}`)));
      await sql`
        INSERT INTO extension_instance (id, context_id, active, consented_scopes, secret)
        SELECT id, 'p-abc123', true, '{}', secret
        FROM unnest(${numbers.map(String)}::text[], ${secrets}::text[]) AS row (id, secret)`;
    },
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

const ESCAPE = "\x1b";
/** Back to the beginning of the line, and erase it. */
const CLEAR = `\r${ESCAPE}[K`;

/** What stood on a terminal, drawn over or not, without colours. */
function frames(output: string): string[] {
  return stripVTControlCharacters(output.replaceAll(CLEAR, "\n")).split(/\r?\n/);
}

const ARGUMENTS = ["--schema", SCHEMA, "--casing", "snake_case"];

/** Nothing that the command prints may hold any of it. */
function assertNoSecrets(output: string, ...secrets: string[]): void {
  for (const secret of [OLD_PASSWORD, NEW_PASSWORD, SALT, ...secrets]) {
    assert(!output.includes(secret));
  }
}

Deno.test("status and reencrypt: from the old key to the new one", async () => {
  await using database = await openDatabase();
  const { sql, env } = database;
  await database.storeInstances(1_234, oldKey);
  await sql`INSERT INTO tenant.token VALUES
    (9007199254740993, 'a', ${await newKey.encrypt("token a")}),
    (2, 'b', ${await oldKey.encrypt("token b")}), (3, 'c', NULL)`;

  const before = await runCommand(["status", ...ARGUMENTS], { env });
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

  const dry = await runCommand(["reencrypt", ...ARGUMENTS, "--dry-run"], { env });
  assertEquals([dry.code, dry.stdout], [
    0,
    `extension_instance: 1,234 rows, 1,234 values to be re-encrypted (dry run, nothing was written)
tenant.token: 3 rows, 1 value to be re-encrypted (dry run, nothing was written)
`,
  ]);
  assertEquals((await runCommand(["status", ...ARGUMENTS], { env })).stdout, before.stdout);

  // The address from an argument, and no DATABASE_URL.
  const { DATABASE_URL, ...withoutUrl } = env;
  const run = await runCommand(
    ["reencrypt", ...ARGUMENTS, "--batch-size", "100", "--database-url", DATABASE_URL],
    { env: withoutUrl },
  );
  assertEquals([run.code, run.stdout], [
    0,
    `extension_instance: 1,234 rows, 1,234 values re-encrypted
tenant.token: 3 rows, 1 value re-encrypted
`,
  ]);
  // Without a terminal: plain lines, one for each tenth.
  assertEquals(run.stderr.split("\n").slice(0, 3), [
    "--database-url holds a password, which other users of this machine can see; set DATABASE_URL instead",
    "extension_instance: 200 of 1,234 rows, 200 re-encrypted, 0 unreadable",
    "extension_instance: 300 of 1,234 rows, 300 re-encrypted, 0 unreadable",
  ]);
  assertStringIncludes(run.stderr, "extension_instance: 1,234 of 1,234 rows, 1,234 re-encrypted");
  for (const sign of ["\r", ESCAPE, "█"]) assert(!(run.stderr + run.stdout).includes(sign));

  for (const secret of await database.secrets()) {
    assertMatch(await newKey.decrypt(secret), /^secret \d+$/);
  }
  // Step 4: without the old key.
  const { OLD_MASTER_PASSWORD: _, ...step4 } = env;
  const after = await runCommand(["status", ...ARGUMENTS], { env: step4 });
  assertEquals(after.code, 0);
  assertStringIncludes(after.stdout, "No value needs another key than the current one\n");
  for (const { stdout, stderr } of [before, dry, run, after]) {
    assertNoSecrets(stdout + stderr, ...await database.secrets());
  }
});

Deno.test("status and reencrypt: what cannot be read is told, and fails", async () => {
  await using database = await openDatabase();
  const { sql, env } = database;
  await database.storeInstances(2, oldKey);
  await sql`INSERT INTO tenant.token VALUES
    (9007199254740993, 'a "quoted" name', ${await unknownKey.encrypt("x")}), (2, 'b', 'damaged')`;
  const status = await runCommand(["status", ...ARGUMENTS], { env });
  assertEquals(status.code, 1);
  assertStringIncludes(
    status.stdout,
    `
2 values are not under the current key: keep the other key and run reencrypt
2 values cannot be read with any of the keys
`,
  );
  const run = await runCommand(["reencrypt", ...ARGUMENTS], { env });
  assertEquals([run.code, run.stdout], [
    1,
    `extension_instance: 2 rows, 2 values re-encrypted
tenant.token: 2 rows, 0 values re-encrypted
2 rows with a value that no key can read:
  {"ownerId":"2","name":"b"}
  {"ownerId":"9007199254740993","name":"a \\"quoted\\" name"}
`,
  ]);
  // What cannot be read may need another key: nothing says that none is needed.
  const after = await runCommand(["status", ...ARGUMENTS], { env });
  assertEquals(after.code, 1);
  assert(after.stdout.endsWith("\n\n2 values cannot be read with any of the keys\n"));
  assert(!after.stdout.includes("No value needs another key"));
});

Deno.test("reencrypt: what a trigger keeps from being written is told, and fails", async () => {
  await using database = await openDatabase();
  const { sql, env } = database;
  await database.storeInstances(3, oldKey);
  await sql.unsafe(`
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
    CREATE TRIGGER keep BEFORE UPDATE ON extension_instance
      FOR EACH ROW WHEN (OLD.id <> '1') EXECUTE FUNCTION keep()`);
  const { code, stdout } = await runCommand(["reencrypt", ...ARGUMENTS], { env });
  assertEquals([code, stdout], [
    1,
    `extension_instance: 3 rows, 1 value re-encrypted
2 rows not written as they should be, because of a trigger:
  {"id":"0"}
  {"id":"2"}
tenant.token: 0 rows, 0 values re-encrypted
`,
  ]);
});

Deno.test("status and reencrypt: hidden rows are an error", async () => {
  await using database = await openDatabase();
  const { sql, env } = database;
  const role = `mitthooks_${crypto.randomUUID().replaceAll("-", "")}`;
  await database.storeInstances(3, oldKey);
  await sql.unsafe(`
    CREATE ROLE ${role} LOGIN PASSWORD 'hunter2';
    GRANT USAGE ON SCHEMA public, tenant TO ${role};
    GRANT ALL ON extension_instance, tenant.token TO ${role};
    ALTER TABLE extension_instance ENABLE ROW LEVEL SECURITY`);
  try {
    const url = Object.assign(new URL(database.url), { username: role, password: "hunter2" });
    for (const command of ["status", "reencrypt"]) {
      const { code, stdout, stderr } = await runCommand([command, ...ARGUMENTS], {
        env: { ...env, DATABASE_URL: url.href },
      });
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, 'row-level security of the table "extension_instance" applies');
    }
  } finally {
    await sql.unsafe(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

Deno.test("status and reencrypt: a table of another copy of the package fails, whatever others there are", async () => {
  await using database = await openDatabase();
  await using copy = await copyPackage();
  await database.storeInstances(3, oldKey);
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${directory}/schema.ts`,
      `export * from ${JSON.stringify(`file://${SCHEMA}`)};
import { integer, pgTable } from "drizzle-orm/pg-core";
import { buildEncryptedTextColumn, importEncryptionKey } from ${
        JSON.stringify(copy.module("pg/mod.ts"))
      };
const secret = buildEncryptedTextColumn(importEncryptionKey(new Uint8Array(32)));
export const strange = pgTable("strange", { id: integer().primaryKey(), secret: secret() });
`,
    );
    for (const command of ["status", "reencrypt"]) {
      const { code, stdout, stderr } = await runCommand(
        [command, "--schema", `${directory}/schema.ts`, "--casing", "snake_case"],
        { env: database.env },
      );
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(
        stderr,
        "the encrypted columns of strange are made by another copy of this package",
      );
    }
    for (const secret of await database.secrets()) await oldKey.decrypt(secret);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("reencrypt on a terminal: a bar that goes away, and colours", async () => {
  await using database = await openDatabase();
  await database.storeInstances(1_000, oldKey);
  const args = [...cliCommand.args, "reencrypt", ...ARGUMENTS, "--batch-size", "10"];
  const env = cliEnvironment(database.env);
  {
    await using terminal = new TerminalProgram(cliCommand.program, { args, env, columns: 100 });
    assertEquals(await terminal.status(), 0);
    assertStringIncludes(terminal.output, "█");
    assertStringIncludes(terminal.output, " 50 %  500 of 1,000 rows");
    assertStringIncludes(terminal.output, `${ESCAPE}[32m█`);
    // Whatever is drawn fits, so that no line wraps.
    for (const frame of frames(terminal.output)) assertLess(frame.length, 100);
    // The last frame is erased before the report comes.
    assertStringIncludes(
      terminal.output,
      `${CLEAR}${ESCAPE}[1mextension_instance${ESCAPE}[22m: 1,000 rows, 1,000 values re-encrypted`,
    );
  }
  {
    await using terminal = new TerminalProgram(cliCommand.program, {
      args,
      env: { ...env, NO_COLOR: "1" },
      columns: 30,
    });
    assertEquals(await terminal.status(), 0);
    assert(!terminal.output.replaceAll(CLEAR, "").includes(ESCAPE));
    const drawn = frames(terminal.output).filter((frame) => frame.includes("%"));
    assertGreater(drawn.length, 50);
    for (const frame of drawn) assertLess(frame.length, 30);
  }
  {
    const status = [...cliCommand.args, "status", ...ARGUMENTS];
    await using terminal = new TerminalProgram(cliCommand.program, {
      args: status,
      env,
      columns: 100,
    });
    assertEquals(await terminal.status(), 0);
    assertStringIncludes(terminal.output, " 50 %  500 of 1,000 rows");
    // The last frame is erased before the table comes.
    assertStringIncludes(terminal.output, `${CLEAR}${ESCAPE}[1mextension_instance${ESCAPE}`);
  }
});

Deno.test("reencrypt on a terminal: Ctrl-C stops between two batches, another run goes on", async () => {
  await using database = await openDatabase();
  await database.storeInstances(20_000, oldKey);
  {
    await using terminal = new TerminalProgram(cliCommand.program, {
      args: [...cliCommand.args, "reencrypt", ...ARGUMENTS, "--batch-size", "10"],
      env: cliEnvironment(database.env),
    });
    await poll(() => terminal.output.includes("█") || terminal.output.includes("░"));
    await terminal.type("\x03");
    assertEquals(await terminal.status(), 130);
    const [, done, total, values] =
      /extension_instance\S*: ([\d,]+) of ([\d,]+) rows, ([\d,]+) values re-encrypted/
        .exec(terminal.output)!;
    assertStringIncludes(terminal.output, "Stopping after this batch");
    assertStringIncludes(terminal.output, "Stopped before the end; run it again to go on");
    assertEquals([total, values], ["20,000", done]);
    const number = Number(done!.replace(",", ""));
    assertGreater(number, 0);
    assertLess(number, 20_000);
    const [first] = await database.secrets();
    const status = await runCommand(["status", ...ARGUMENTS], { env: database.env });
    assertStringIncludes(
      status.stdout,
      `${(20_000 - number).toLocaleString("en-US")} values are not`,
    );
    assertNoSecrets(terminal.output, first!);
  }
  const again = await runCommand(["reencrypt", ...ARGUMENTS], { env: database.env });
  assertEquals(again.code, 0);
  for (const secret of await database.secrets()) await newKey.decrypt(secret);
});

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`reencrypt without a terminal: ${signal} stops it between two batches`, async () => {
    await using database = await openDatabase();
    await database.storeInstances(20_000, oldKey);
    const child = startCommand(["reencrypt", ...ARGUMENTS, "--batch-size", "10"], {
      env: database.env,
    });
    const stdout = new Response(child.stdout).text();
    let stderr = "";
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      // The first line of progress.
      if (stderr === "") child.kill(signal);
      stderr += text;
    }
    assertEquals((await child.status).code, status);
    assertMatch(
      await stdout,
      /^extension_instance: [\d,]+ of 20,000 rows, [\d,]+ values re-encrypted\nStopped before the end/,
    );
    assertStringIncludes(stderr, "Stopping after this batch");
  });
}

Deno.test("every command has help", async () => {
  for (const command of ["keygen", "mstudio", "status", "reencrypt"]) {
    for (const option of ["--help", "-h"]) {
      const { code, stdout, stderr } = await runCommand([command, option]);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, `Usage: mitthooks-drizzle ${command}`);
    }
  }
  const { code, stdout } = await runCommand(["--help"]);
  assertEquals(code, 0);
  for (const command of ["keygen", "mstudio", "status", "reencrypt"]) {
    assertStringIncludes(stdout, command);
  }
  for (const args of [[], ["rotate"]]) {
    const wrong = await runCommand(args);
    assertEquals([wrong.code, wrong.stdout], [2, ""]);
    assertStringIncludes(wrong.stderr, "Usage: mitthooks-drizzle COMMAND");
  }
});

Deno.test("arguments that make no sense: status 2, and they are not repeated", async () => {
  const env = { DATABASE_URL: "postgres://127.0.0.1:1/nothing" };
  const cases: [args: string[], message: string][] = [
    [["status"], "give the schema module: --schema ./schema.ts"],
    [["reencrypt"], "give the schema module: --schema ./schema.ts"],
    [["keygen", "--master-password", "hunter2"], "there is an unknown option: --master-password"],
    [["keygen", "--hunter2=x"], "there is an unknown option: --hunter"],
    [["keygen", "hunter2"], "there is an argument that belongs to no option"],
    [["keygen", "--raw=hunter2"], "an option has no value, or must not have one: --raw"],
    [["mstudio"], "give the address: --target http://localhost:8000/webhooks"],
    [["mstudio", "--target", "hunter2"], "--target is not an HTTP URL"],
    [["mstudio", "--target=http://localhost/", "--serve=65536"], "--serve is not a port"],
    [["keygen", "--write"], "an option has no value, or must not have one: --write"],
    ...["0", "-1", "1.5", "hunter2", "1e3"].map((size): [string[], string] => [
      ["reencrypt", "--schema", SCHEMA, `--batch-size=${size}`],
      "--batch-size is not a positive integer",
    ]),
    [
      ["status", "--schema", SCHEMA, "--casing", "x"],
      "--casing is neither snake_case nor camelCase",
    ],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await runCommand(args, { env });
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, `${args[0]}: ${message}`);
    assert(!stderr.includes("hunter2"));
  }
});

Deno.test("schema modules that cannot be used", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const keys = { ENCRYPTION_MASTER_PASSWORD: NEW_PASSWORD, ENCRYPTION_SALT: SALT };
    await Deno.writeTextFile(`${directory}/empty.ts`, "export const nothing = { a: 1 };");
    await Deno.writeTextFile(`${directory}/broken.ts`, 'throw new Error("it is broken");');
    const cases: [schema: string, env: Record<string, string>, code: number, message: string][] = [
      [`./missing.ts`, keys, 1, "Loading ./missing.ts: "],
      [
        "empty.ts",
        keys,
        1,
        "Loading empty.ts: none of its exports is a table with encrypted columns",
      ],
      ["broken.ts", keys, 1, "Loading broken.ts: it is broken"],
      [SCHEMA, keys, 2, "set DATABASE_URL, or give --database-url"],
    ];
    for (const [schema, env, expected, message] of cases) {
      const { code, stderr } = await runCommand(["status", "--schema", schema], {
        env,
        cwd: directory,
      });
      assertEquals(code, expected);
      assertStringIncludes(stderr, message);
      assertNoSecrets(stderr);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("databases that cannot be used: the password stays untold", async () => {
  await using database = await openDatabase();
  const elsewhere = (change: (url: URL) => void) => {
    const url = new URL(database.url);
    url.password = "hunter2";
    change(url);
    return url.href;
  };
  const cases: [url: string, message: RegExp][] = [
    [elsewhere((url) => url.port = "1"), /could not be reached: .*ECONNREFUSED/],
    [elsewhere(() => {}), /could not be reached: password authentication failed/],
    ["not a URL: hunter2", /its URL cannot be used/],
    ["postgres://user:hunter2@[broken/name", /its URL cannot be used/],
  ];
  for (const [url, message] of cases) {
    for (const command of ["status", "reencrypt"]) {
      const { code, stdout, stderr } = await runCommand([command, ...ARGUMENTS], {
        env: { ...database.env, DATABASE_URL: url },
      });
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, message);
      assert(!stderr.includes("hunter2"));
      assertNoSecrets(stderr);
    }
  }
  await database.sql`DROP TABLE tenant.token`;
  const missing = await runCommand(["reencrypt", ...ARGUMENTS], { env: database.env });
  assertEquals(missing.code, 1);
  assertStringIncludes(
    missing.stderr,
    "reencrypt: Running reencrypt: the table does not exist, run the migrations first: " +
      'relation "tenant.token" does not exist',
  );
});

Deno.test("status without keys: says which are missing, where they are made, and how to get them", async () => {
  await using database = await openDatabase();
  await database.storeInstances(1, oldKey);
  const { code, stderr } = await runCommand(["status", ...ARGUMENTS], {
    env: { DATABASE_URL: database.url },
  });
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^status: Building an encryption key: masterPassword is empty, salt is empty; the key was made at \S+schema\.ts:\d+:\d+, and `npx mitthooks-drizzle keygen --write .env` makes both\n$/,
  );
});

/** A folder of an application with a configuration of drizzle-kit. */
async function openProject(config: string) {
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/drizzle.config.ts`, config);
  await Deno.writeTextFile(`${directory}/schema.ts`, `export * from "file://${SCHEMA}";`);
  return {
    directory,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

Deno.test("schema, database and casing come from drizzle.config.ts, the keys from --env-file", async () => {
  await using database = await openDatabase();
  const { DATABASE_URL, ...keys } = database.env;
  const url = new URL(DATABASE_URL);
  const parts = {
    host: url.hostname,
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
  };
  const text = [
    "# the keys",
    `export ENCRYPTION_MASTER_PASSWORD="${keys.ENCRYPTION_MASTER_PASSWORD}" # not the old one`,
    `ENCRYPTION_SALT='${keys.ENCRYPTION_SALT}'\r`,
    `OLD_MASTER_PASSWORD=${keys.OLD_MASTER_PASSWORD}`,
  ].join("\n");
  await database.storeInstances(2, oldKey);
  const credentials = [
    "{ url: process.env.THE_DATABASE }",
    JSON.stringify(parts),
  ];
  for (const dbCredentials of credentials) {
    for (const schema of ['"./schema.ts"', '["./sch*.ts"]', '"./tables"']) {
      await using project = await openProject(`
        import process from "node:process";
        export default { dialect: "postgresql", schema: ${schema}, casing: "snake_case",
          dbCredentials: ${dbCredentials} };`);
      await Deno.mkdir(`${project.directory}/tables`);
      await Deno.writeTextFile(
        `${project.directory}/tables/all.ts`,
        `export * from "file://${SCHEMA}";`,
      );
      await Deno.writeTextFile(`${project.directory}/.env.local`, text);
      const { code, stdout, stderr } = await runCommand(["status", "--env-file", ".env.local"], {
        env: { THE_DATABASE: database.url },
        cwd: project.directory,
      });
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "secret        0          2           0     0");
    }
  }
});

Deno.test("what is given comes before drizzle.config.ts, and the environment before --env-file", async () => {
  await using database = await openDatabase();
  await database.storeInstances(1, oldKey);
  await using project = await openProject(`
    export default { dialect: "postgresql", schema: "./missing.ts", casing: "camelCase",
      dbCredentials: { url: "postgres://127.0.0.1:1/nothing" } };`);
  await Deno.writeTextFile(
    `${project.directory}/.env`,
    "ENCRYPTION_SALT=another\nOLD_MASTER_PASSWORD=x",
  );
  const run = await runCommand(["status", ...ARGUMENTS, "--env-file", ".env"], {
    env: database.env,
    cwd: project.directory,
  });
  assertEquals([run.code, run.stderr], [0, ""]);
});

Deno.test("a drizzle.config.ts that cannot be used", async (t) => {
  await using database = await openDatabase();
  const { env } = database;
  await t.step("another database", async () => {
    await using project = await openProject('export default { dialect: "mysql" };');
    const { code, stderr } = await runCommand(["status"], { env, cwd: project.directory });
    assertEquals([code, stderr], [
      1,
      'status: Reading drizzle.config.ts: its dialect is "mysql", this package needs "postgresql"\n',
    ]);
  });
  await t.step("drizzle-kit is not installed: a warning where it is not needed", async () => {
    await using project = await openProject('import "npm-package-that-is-not-there";');
    const needed = await runCommand(["status"], { env, cwd: project.directory });
    assertEquals(needed.code, 1);
    assertStringIncludes(needed.stderr, "status: Loading drizzle.config.ts: ");
    const { code, stderr } = await runCommand(["status", "--schema", "./schema.ts"], {
      env,
      cwd: project.directory,
    });
    assertMatch(stderr, /^Loading drizzle\.config\.ts: [^]*Going on without it: give --casing if/);
    // Without the casing, the columns are not found, which is told, too.
    assertEquals(code, 1);
    assertStringIncludes(stderr, "drizzle.config.ts needs the same");
    const full = await runCommand(["status", ...ARGUMENTS], { env, cwd: project.directory });
    assertEquals([full.code, full.stderr], [0, ""]);
  });
  await t.step("a file that is not there", async () => {
    for (const args of [["--config", "nowhere.ts"], ["--env-file", "nowhere"]]) {
      const { code, stderr } = await runCommand(["status", ...args], { env });
      assertEquals(code, 1);
      assertStringIncludes(stderr, "ing nowhere");
    }
  });
});

Deno.test("--version is that of the package", async () => {
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  );
  for (const args of [["--version"], ["status", "--version"]]) {
    assertEquals(await runCommand(args), { code: 0, stdout: `${version}\n`, stderr: "" });
  }
});

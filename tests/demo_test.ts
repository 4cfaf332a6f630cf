import { assert, assertEquals, assertLessOrEqual, assertMatch, assertNotMatch } from "@std/assert";
import postgres from "postgres";
import { startProgram } from "../tools/program.ts";

const root = new URL("..", import.meta.url);

async function runDemo(env: Record<string, string>) {
  const temporary = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await startProgram(Deno.execPath(), {
      args: ["task", "--quiet", "demo"],
      cwd: root,
      env: { NO_COLOR: "1", TMPDIR: temporary, ...env },
    }).ended;
    assertEquals([code, stderr], [0, ""]);
    assertEquals([...Deno.readDirSync(temporary)], []);
    return stdout;
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/** The visible result of the demo on any database. */
function assertShown(output: string): void {
  const lines = output.split("\n");
  const rows = lines.filter((line) => /^.{14} [AB] /.test(line));
  assertEquals(rows.length, 10);
  // Stored values always differ from read ones.
  assertMatch(rows[0]!, /^added +A customer yes pro +\S{12}…\S{11} first-secret-A$/);
  assertMatch(rows[3]!, /^rotated, twice +A customer no +basic +\S{12}…\S{11} second-secret-A$/);
  assertMatch(rows[6]!, /^forged +A .* second-secret-A$/);
  assertMatch(rows[8]!, /^replayed +A +\(no row\) +\(no row\)$/);
  assertMatch(rows[9]!, /^removed +B +\(no row\) +\(no row\)$/);
  for (const row of rows) assertNotMatch(row, /secret-. .*secret-./);
  assertMatch(output, /^Forged webhook +answered with 401 ERR_SIGNATURE_INVALID$/m);
  assertMatch(output, /^Replayed webhook +answered with 409 ERR_STALE_EVENT$/m);
  assertMatch(output, /^Change handlers +for A, once each: added, updated, rotated, removed$/m);
  assertMatch(output, /^Wrong password +ERR_DECRYPTION_FAILED, at \[0\]\.secret$/m);
  assertMatch(output, /^Original's row +written by version 0\.1\.0, read as "only-for-me"$/m);
  assertMatch(output, /^Seen: .*encrypted/m);
  assertMatch(output, /^Next: README\.md/m);
  for (const { length } of lines) assertLessOrEqual(length, 80);
}

Deno.test("the demo on PGlite", async () => {
  const output = await runDemo({ TEST_DATABASE_URL: "" });
  assertMatch(output, /^Database +PostgreSQL .* in this process/m);
  assertShown(output);
});

Deno.test("the demo on a server: in a scratch database, which is dropped afterwards", async () => {
  const url = Deno.env.get("TEST_SERVER_URL")!;
  const sql = postgres(url, { max: 1 });
  try {
    const output = await runDemo({ TEST_DATABASE_URL: url });
    const name = /^Database +(\w+) \(scratch\)$/m.exec(output)?.[1];
    assert(name);
    assertShown(output);
    assertEquals([...await sql`SELECT 1 FROM pg_database WHERE datname = ${name}`], []);
  } finally {
    await sql.end();
  }
});

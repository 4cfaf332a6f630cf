import { assertEquals, assertLessOrEqual, assertMatch, assertNotMatch } from "@std/assert";
import { repository } from "../tools/paths.ts";
import { runProgram } from "../tools/program.ts";

Deno.test("the demo shows the life of two instances, and leaves nothing behind", async () => {
  const temporary = await Deno.makeTempDir();
  const args = ["task", "--quiet", "demo"];
  const { stdout: output, stderr } = await runProgram(repository, Deno.execPath(), args, {
    TMPDIR: temporary,
  });
  assertEquals(stderr, "");
  assertEquals([...Deno.readDirSync(temporary)], []);
  const lines = output.split("\n");
  const rows = lines.filter((line) => /^.{14} [AB] /.test(line));
  assertEquals(rows.length, 10);
  // Stored values always differ from read ones.
  assertMatch(rows[0]!, /^added +A customer yes pro +\S{24} first-secret-A$/);
  assertMatch(rows[3]!, /^rotated, twice +A customer no +basic +\S{24} second-secret-A$/);
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
});

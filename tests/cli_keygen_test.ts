import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { decodeBase64 } from "@std/encoding";
import { buildEncryptionKey, importEncryptionKey } from "../mod.ts";
import { createFolder, runCommand } from "./support/cli.ts";
import { runProgram } from "../tools/program.ts";

const LINES = /^ENCRYPTION_MASTER_PASSWORD=([\w+/]{43}=)\nENCRYPTION_SALT=([\w+/]{22}==)\n$/;

Deno.test("keygen prints a master password and a salt, or a raw key, as .env lines, new ones each time", async () => {
  const [first, second, raw] = await Promise.all([
    runCommand(["keygen"]),
    runCommand(["keygen"]),
    runCommand(["keygen", "--raw"]),
  ]);
  assertEquals([first.code, first.stderr], [0, ""]);
  const [, password, salt] = LINES.exec(first.stdout)!;
  const [, otherPassword, otherSalt] = LINES.exec(second.stdout)!;
  assertNotEquals(password, otherPassword);
  assertNotEquals(salt, otherSalt);
  const [, bytes] = /^ENCRYPTION_KEY=(.*)\n$/.exec(raw.stdout)!;
  for (
    const key of [buildEncryptionKey(password!, salt!), importEncryptionKey(decodeBase64(bytes!))]
  ) {
    assertEquals(await key.decrypt(await key.encrypt("x")), "x");
  }
});

Deno.test("keygen --write makes a file readable by its owner only, and prints no secret", async () => {
  await using folder = await createFolder();
  const { code, stdout, stderr } = await runCommand(["keygen", "--write", ".env"], {
    cwd: folder.path,
  });
  assertEquals([code, stderr], [0, ""]);
  assertEquals(
    stdout,
    ".env: ENCRYPTION_MASTER_PASSWORD and ENCRYPTION_SALT written to a new file\n",
  );
  assertMatch(await Deno.readTextFile(`${folder.path}/.env`), LINES);
  assertEquals((await Deno.stat(`${folder.path}/.env`)).mode! & 0o777, 0o600);
});

Deno.test("keygen --write: a file that everybody can read stays so, with a warning", async () => {
  await using folder = await createFolder({ ".env": "A=1\n" });
  const path = `${folder.path}/.env`;
  await Deno.chmod(path, 0o644);
  const { code, stderr } = await runCommand(["keygen", "--write", ".env"], { cwd: folder.path });
  assertEquals([code, stderr, (await Deno.stat(path)).mode! & 0o777], [
    0,
    ".env: every user of this machine can read it; to change that: chmod 600 .env\n",
    0o644,
  ]);
});

Deno.test("keygen --write: a dangling link is reported, and stays", async () => {
  await using folder = await createFolder();
  await Deno.symlink("nowhere", `${folder.path}/.env`);
  const { code, stderr } = await runCommand(["keygen", "--write", ".env"], { cwd: folder.path });
  assertEquals([code, stderr], [
    1,
    "keygen: Writing .env: it is a dangling link, or was created just now\n",
  ]);
  assertEquals([...Deno.readDirSync(folder.path)].map(({ isSymlink }) => isSymlink), [true]);
});

Deno.test("keygen --write: a file that a replacement would break stays, and is reported", async (t) => {
  const cases: Record<string, [prepare: string, found: string]> = {
    "a FIFO": ["mkfifo .env", "it is not a regular file"],
    "a file with two names": [
      "echo A=1 > other; ln other .env",
      "it has other hard links, which would keep the old content",
    ],
    "a read-only file": ["echo A=1 > .env; chmod 444 .env", "it is read-only"],
  };
  for (const [what, [prepare, found]] of Object.entries(cases)) {
    await t.step(what, async () => {
      await using folder = await createFolder();
      const cwd = folder.path;
      const shell = async (line: string) => (await runProgram(cwd, "sh", ["-c", line])).stdout;
      const list = () => shell("ls -li; find . -type f -exec cat {} +");
      await shell(prepare);
      const before = await list();
      const { code, stderr } = await runCommand(["keygen", "--write", ".env"], { cwd });
      assertEquals([code, stderr], [1, `keygen: Writing .env: ${found}\n`]);
      assertEquals(await list(), before);
    });
  }
});

Deno.test("keygen --name generates a second pair beside the first", async () => {
  await using folder = await createFolder();
  const write = (...args: string[]) =>
    runCommand(["keygen", "--write", ".env", ...args], { cwd: folder.path });
  await write();
  const { code, stdout } = await write("--name", "NEW_ENCRYPTION");
  assertEquals([code, stdout], [
    0,
    ".env: NEW_ENCRYPTION_MASTER_PASSWORD and NEW_ENCRYPTION_SALT written\n",
  ]);
  assertEquals((await write("--raw", "--name=OWN")).stdout, ".env: OWN_KEY written\n");
  const names = [...(await Deno.readTextFile(`${folder.path}/.env`)).matchAll(/^(\w+)=\S/gm)];
  assertEquals(names.map(([, name]) => name), [
    "ENCRYPTION_MASTER_PASSWORD",
    "ENCRYPTION_SALT",
    "NEW_ENCRYPTION_MASTER_PASSWORD",
    "NEW_ENCRYPTION_SALT",
    "OWN_KEY",
  ]);
  for (const name of ["", "1A", "A=B", "A B", "Ä"]) {
    assertEquals((await write(`--name=${name}`)).code, 2);
  }
});

/** A file before and after `keygen --write`, one byte per character. `+` stands for new values. */
async function assertWritten(before: string, after: string, args: readonly string[] = ["--raw"]) {
  await using folder = await createFolder();
  const path = `${folder.path}/.env`;
  await Deno.writeFile(path, Uint8Array.from(before, (character) => character.charCodeAt(0)));
  await Deno.chmod(path, 0o640);
  const result = await runCommand(["keygen", "--write", ".env", ...args], { cwd: folder.path });
  assertEquals(result.code, before === after ? 1 : 0);
  const text = String.fromCharCode(...await Deno.readFile(path));
  const values = text.match(/(?<=ENCRYPTION_\w+=)[\w+/]{22,43}={1,2}(?=\s|$)/g) ?? [];
  assertEquals(values.reduce((text, value) => text.replace(value, "+"), text), after);
  for (const value of values) assert(!(result.stdout + result.stderr).includes(value));
  assertEquals((await Deno.stat(path)).mode! & 0o777, 0o640);
  assertEquals([...Deno.readDirSync(folder.path)].length, 1);
  return result;
}

Deno.test("keygen --write adds missing values and keeps the rest byte for byte", async (t) => {
  const cases: Record<string, [before: string, after: string]> = {
    "an empty file": ["", "ENCRYPTION_KEY=+\n"],
    "no line end": ["# Gr\xf6\xdfe\n\n  A='1'", "# Gr\xf6\xdfe\n\n  A='1'\nENCRYPTION_KEY=+\n"],
    "no UTF-8, line ends of Windows": ["A=\xff\xfe\r\n", "A=\xff\xfe\r\nENCRYPTION_KEY=+\r\n"],
    "empty": ["A=1\nENCRYPTION_KEY=\nB=2", "A=1\nENCRYPTION_KEY=+\nB=2"],
    "empty quotes": ['ENCRYPTION_KEY=""\r\nB=2\r\n', "ENCRYPTION_KEY=+\r\nB=2\r\n"],
    "a comment": ["ENCRYPTION_KEY=   # 32 bytes\n", "ENCRYPTION_KEY=+   # 32 bytes\n"],
    "byte order mark": [
      "\xef\xbb\xbfexport ENCRYPTION_KEY=\n",
      "\xef\xbb\xbfexport ENCRYPTION_KEY=+\n",
    ],
    "commented out": ["# ENCRYPTION_KEY=\n", "# ENCRYPTION_KEY=\nENCRYPTION_KEY=+\n"],
    "in a value": ['A="\nENCRYPTION_KEY=\n"\n', 'A="\nENCRYPTION_KEY=\n"\nENCRYPTION_KEY=+\n'],
    "Bun's colon": ["ENCRYPTION_KEY: set\n", "ENCRYPTION_KEY: set\n"],
    "a longer name": ["A_ENCRYPTION_KEY=\n", "A_ENCRYPTION_KEY=\nENCRYPTION_KEY=+\n"],
  };
  for (const [what, [before, after]] of Object.entries(cases)) {
    await t.step(what, async () => void await assertWritten(before, after));
  }
});

Deno.test("keygen --write never overwrites an existing value", async () => {
  const full = "ENCRYPTION_SALT='s'\nexport ENCRYPTION_MASTER_PASSWORD = \"p\" # mine\n";
  const { stdout, stderr } = await assertWritten(full, full, []);
  assertEquals([stdout, stderr], [
    "",
    ".env: ENCRYPTION_MASTER_PASSWORD and ENCRYPTION_SALT have a value, which was kept\n",
  ]);
  const half = "ENCRYPTION_MASTER_PASSWORD=p\n";
  await assertWritten(half, `${half}ENCRYPTION_SALT=+\n`, []);
  // Set once and empty another time: which one counts depends on the reader.
  const twice = "ENCRYPTION_KEY=set\nENCRYPTION_KEY=\n";
  await assertWritten(twice, twice);
});

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { decodeBase64 } from "@std/encoding";
import { buildEncryptionKey, importEncryptionKey } from "../mod.ts";
import { runCommand } from "./support/cli.ts";

/** The values in lines of a .env file, by name. */
function parse(text: string): Record<string, string> {
  return Object.fromEntries(
    text.trimEnd().split("\n").map((line) => {
      const equals = line.indexOf("=");
      return [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
}

/** Runs `keygen --write` on a file with these bytes. */
async function write(
  content: string | Uint8Array | undefined,
  { args = [], mode = 0o640 }: { args?: string[]; mode?: number } = {},
) {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/.env`;
  if (content !== undefined) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(path, bytes);
    await Deno.chmod(path, mode);
  }
  const result = await runCommand(["keygen", "--write", ".env", ...args], { cwd: directory });
  const bytes = await Deno.readFile(path);
  const { mode: modeAfter } = await Deno.stat(path);
  const files = [...Deno.readDirSync(directory)].map(({ name }) => name);
  await Deno.remove(directory, { recursive: true });
  assertEquals(files, [".env"]);
  return { ...result, bytes, text: new TextDecoder().decode(bytes), mode: modeAfter! & 0o777 };
}

Deno.test("keygen prints a master password and a salt as .env lines, new ones each time", async () => {
  const first = await runCommand(["keygen"]);
  assertEquals([first.code, first.stderr], [0, ""]);
  const values = parse(first.stdout);
  assertEquals(Object.keys(values), ["ENCRYPTION_MASTER_PASSWORD", "ENCRYPTION_SALT"]);
  assertEquals(decodeBase64(values["ENCRYPTION_MASTER_PASSWORD"]!).length, 32);
  assertEquals(decodeBase64(values["ENCRYPTION_SALT"]!).length, 16);
  const key = buildEncryptionKey(values["ENCRYPTION_MASTER_PASSWORD"]!, values["ENCRYPTION_SALT"]!);
  assertEquals(await key.decrypt(await key.encrypt("x")), "x");
  const second = parse((await runCommand(["keygen"])).stdout);
  for (const [name, value] of Object.entries(values)) assertNotEquals(second[name], value);
});

Deno.test("keygen --raw prints a key for importEncryptionKey", async () => {
  const { code, stdout } = await runCommand(["keygen", "--raw"]);
  assertEquals(code, 0);
  const values = parse(stdout);
  assertEquals(Object.keys(values), ["ENCRYPTION_KEY"]);
  const key = importEncryptionKey(decodeBase64(values["ENCRYPTION_KEY"]!));
  assertEquals(await key.decrypt(await key.encrypt("x")), "x");
});

Deno.test("keygen --write makes a file for its owner alone, and prints no secret", async () => {
  const { code, text, mode, stdout, stderr } = await write(undefined);
  assertEquals([code, mode, stderr], [0, 0o600, ""]);
  const values = parse(text);
  assertEquals(Object.keys(values), ["ENCRYPTION_MASTER_PASSWORD", "ENCRYPTION_SALT"]);
  assertEquals(
    stdout,
    ".env: ENCRYPTION_MASTER_PASSWORD and ENCRYPTION_SALT written, the file is new\n",
  );
  const raw = await write(undefined, { args: ["--raw"] });
  assertEquals(Object.keys(parse(raw.text)), ["ENCRYPTION_KEY"]);
});

Deno.test("keygen --write adds to a file, and keeps the rest byte for byte", async () => {
  const lines = /^ENCRYPTION_MASTER_PASSWORD=[\w+/]{43}=\nENCRYPTION_SALT=[\w+/]{22}==\n$/;
  const before = "# Größe\nDATABASE_URL=postgres://a:b@c/d\n\n  A='1'";
  const added = await write(before);
  assertEquals([added.code, added.mode], [0, 0o640]);
  assert(added.text.startsWith(`${before}\n`));
  assertMatch(added.text.slice(before.length + 1), lines);
  // No valid UTF-8, and Windows' line ends.
  const bytes = new Uint8Array([0x41, 0x3d, 0xff, 0xfe, 0x0d, 0x0a]);
  const other = await write(bytes);
  assertEquals(other.bytes.subarray(0, bytes.length), bytes);
  const rest = new TextDecoder().decode(other.bytes.subarray(bytes.length));
  assertMatch(rest.replaceAll("\r\n", "\n"), lines);
  assertEquals(rest.split("\r\n").length, 3);
  assertMatch((await write("")).text, lines);
});

Deno.test("keygen --write never overwrites a value that is set", async () => {
  const full = "ENCRYPTION_SALT='s'\nexport ENCRYPTION_MASTER_PASSWORD = \"p\" # mine\n";
  const kept = await write(full);
  assertEquals([kept.code, kept.text, kept.stdout], [1, full, ""]);
  assertEquals(
    kept.stderr,
    ".env: ENCRYPTION_MASTER_PASSWORD and ENCRYPTION_SALT have a value, kept\n",
  );
  const half = await write("ENCRYPTION_MASTER_PASSWORD=p\n");
  assertEquals(half.code, 0);
  assertMatch(half.text, /^ENCRYPTION_MASTER_PASSWORD=p\nENCRYPTION_SALT=\S{24}\n$/);
  // Set once and empty another time: which one counts depends on who reads the file.
  const twice = "ENCRYPTION_KEY=set\nENCRYPTION_KEY=\n";
  assertEquals((await write(twice, { args: ["--raw"] })).text, twice);
});

Deno.test("keygen --write fills values that are empty, in their places", async () => {
  const cases: [before: string, after: RegExp][] = [
    ["A=1\nENCRYPTION_KEY=\nB=2", /^A=1\nENCRYPTION_KEY=[\w+/]{43}=\nB=2$/],
    ['ENCRYPTION_KEY=""\r\nB=2\r\n', /^ENCRYPTION_KEY=[\w+/]{43}=\r\nB=2\r\n$/],
    ["ENCRYPTION_KEY=   # 32 bytes\n", /^ENCRYPTION_KEY=[\w+/]{43}= {3}# 32 bytes\n$/],
    ["\uFEFFexport ENCRYPTION_KEY=\n", /^export ENCRYPTION_KEY=[\w+/]{43}=\n$/],
    // Commented out, and within another value.
    ["# ENCRYPTION_KEY=\n", /^# ENCRYPTION_KEY=\nENCRYPTION_KEY=\S+\n$/],
    ['A="\nENCRYPTION_KEY=\n"\n', /^A="\nENCRYPTION_KEY=\n"\nENCRYPTION_KEY=\S+\n$/],
    ["A_ENCRYPTION_KEY=\n", /^A_ENCRYPTION_KEY=\nENCRYPTION_KEY=\S+\n$/],
  ];
  for (const [before, after] of cases) {
    const { code, text } = await write(before, { args: ["--raw"] });
    assertEquals(code, 0);
    assertMatch(text, after);
  }
});

Deno.test("keygen --write into a place that is not there, or is a directory", async () => {
  for (const path of ["missing/.env", "."]) {
    const directory = await Deno.makeTempDir();
    const { code, stdout, stderr } = await runCommand(["keygen", "--write", path], {
      cwd: directory,
    });
    await Deno.remove(directory, { recursive: true });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^keygen: (Reading|Writing) \S+: E[A-Z]+\n$/);
  }
});

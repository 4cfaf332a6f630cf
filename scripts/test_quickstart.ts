/**
 * `deno task test:quickstart [NAME…]`: follows the quick start to the letter, each reader in an empty folder: that of the
 * repository's README with Deno, that of the npm package's with Node.js 20 and 24 and Bun. Looks at what is shown and at
 * the stored row. Names choose readers.
 *
 * Not to the letter: the package comes from this checkout, not from a registry; the ports are free ones; and the
 * database is another one.
 *
 * @module
 */
import { equal, match, notEqual } from "node:assert/strict";
import { parseEnv } from "node:util";
import postgres from "postgres";
import { buildEncryptionKey } from "../pg/encryption.ts";
import { mapBounded } from "../pg/internal/columns/map_bounded.ts";
import { blocksOf } from "../tests/support/documents.ts";
import { createDatabase, poll } from "../tools/postgres/databases.ts";
import { beginGuardedRun } from "../tools/guarded_run.ts";
import { readManifest } from "../tools/manifest.ts";
import { NPM_NAME } from "../tools/npm/manifest.ts";
import { buildNpmPackage, packNpmPackage } from "../tools/npm/package.ts";
import { join, repository } from "../tools/paths.ts";
import { cacheDirectory } from "../tools/npm/project.ts";
import { bunProgram, denoProgram, nodeProgram } from "../tools/npm/programs.ts";
import { freePort } from "../tools/free_port.ts";

/** Longest time for a command, and to wait for what it shows, in milliseconds. */
const LIMIT_MS = 120_000;

/** How many readers follow at the same time. */
const AT_ONCE = 2;

/** Who follows: the program, and its names in the reader's PATH. The README of npm names the runtime by the first word. */
const READERS = [
  { name: "Node.js 20", program: () => nodeProgram(20), commands: ["node"] },
  { name: "Node.js 24", program: () => nodeProgram(24), commands: ["node"] },
  { name: "Bun", program: () => bunProgram(), commands: ["bun", "bunx"] },
  { name: "Deno", program: () => denoProgram(), commands: ["deno"] },
];

const { directory, providePostgres, finish } = beginGuardedRun();

/** The sections of both READMEs, with the package of this checkout: its tarball for npm, a link to it for Deno. */
async function readQuickStarts(): Promise<Record<"deno" | "npm", string>> {
  const { directory: built, manifest } = await buildNpmPackage(join(directory.path, "package"));
  const tarball = await packNpmPackage(built, directory.path);
  const { name } = await readManifest();
  const link = JSON.stringify({ links: [repository], imports: { [name]: `jsr:${name}` } });
  const read = async (path: string) =>
    /^## Quick start\n([^]*?)^## /m.exec(await Deno.readTextFile(path))![1]!;
  return {
    deno: (await read(join(repository, "README.md")))
      .replace(`deno add jsr:${name}`, "deno add")
      .replace(/(?<=echo '\{.*) \}/, `, ${link.slice(1)}`),
    npm: (await read(join(built, "README.md")))
      .replaceAll(`${NPM_NAME}@${manifest.version}`, `${NPM_NAME}@file:${tarball}`),
  };
}

async function follow(
  reader: typeof READERS[number],
  quickStarts: Awaited<ReturnType<typeof readQuickStarts>>,
): Promise<void> {
  const home = await Deno.makeTempDir({ dir: directory.path });
  const [cwd, bin] = [join(home, "extension"), join(home, "bin")];
  for (const path of [cwd, bin]) await Deno.mkdir(path);
  const runtime = reader.name.split(" ")[0]!;
  const { path } = await reader.program();
  for (const command of reader.commands) await Deno.symlink(path, join(bin, command));
  const env = {
    NO_COLOR: "1",
    // npm is the system's; where Bun and Deno run there is no Node that they could fall back on.
    PATH: runtime === "Node.js" ? `${bin}:${Deno.env.get("PATH")}` : bin,
    npm_config_cache: join(cacheDirectory, "npm"),
    npm_config_prefer_offline: "true",
    BUN_INSTALL_CACHE_DIR: join(cacheDirectory, "bun"),
  };
  const type = (line: string, more = {}) => new Terminal(line, cwd, { ...env, ...more });
  // `bunx` ends at once on Ctrl-C, before the program that it runs has told the rest.
  const run = (line: string) =>
    new Terminal(
      line,
      cwd,
      env,
      `trap : INT\n{ ${line}\n} 2>&1 | (trap '' INT; while IFS= read -r shown; do echo "$shown"; done)`,
    );
  let server: Terminal | undefined;
  let mstudio: Terminal | undefined;
  let startMain = "";

  await using database = await createDatabase();
  const sql = postgres(database.url, { max: 1 });
  const stored = () =>
    sql`select secret from extension_instance where "createdAt" > now() - interval '1 hour'`;
  const text = quickStarts[runtime === "Deno" ? "deno" : "npm"].replace(
    /(?<=^DATABASE_URL=).*/m,
    database.url,
  )
    .replaceAll("8000", String(freePort())).replaceAll("8001", String(freePort()));
  for (const { language, code } of blocksOf(text)) {
    if (language === "ts") {
      await Deno.writeTextFile(join(cwd, /^\/\/ (\S+)/.exec(code)![1]!), code);
    } else if (language === "ini") {
      await Deno.writeTextFile(join(cwd, ".env"), code, { append: true });
    } else {
      for (const line of linesFor(runtime, code)) {
        if (line.includes(" main.ts")) {
          server = run(startMain = line);
          await server.shows(/^Listening on port/m);
          // A row that an earlier try has left stands in nobody's way.
          await sql`insert into extension_instance (id, "contextId", consented_scopes, active, "createdAt", "updatedAt")
            values ('yesterday', 'p-1', '{}', true, now() - interval '1 day', now())`;
        } else if (line.includes(" mstudio ")) {
          mstudio = run(line);
          await mstudio.shows(/^forged +401 +ERR_SIGNATURE_INVALID[^]*Ctrl-C/m);
        } else if (line.includes(" call.ts")) {
          await type(line).shows(/^The API answered with 200 /m);
        } else {
          await type(line).succeeds();
        }
      }
    }
  }

  await server!.shows(/200 · STORED · ExtensionAddedToContext[^]*401 · ERR_SIGNATURE_INVALID/);
  const rows = await stored();
  equal(rows.length, 1);
  const variables = parseEnv(await Deno.readTextFile(join(cwd, ".env")));
  const { ENCRYPTION_MASTER_PASSWORD, ENCRYPTION_SALT } = variables;
  const key = buildEncryptionKey(ENCRYPTION_MASTER_PASSWORD!, ENCRYPTION_SALT!);
  notEqual(await key.decrypt(rows[0]!["secret"]), "forged");
  await type(startMain, { ENCRYPTION_SALT: "another" }).shows(/another master password or salt/);
  await type(startMain, { DATABASE_URL: "" }).shows(/DATABASE_URL is not set/);
  if (runtime !== "Deno") {
    await type(`${reader.commands[0]} node_modules/typescript/bin/tsc`).succeeds();
  }

  mstudio!.interrupt();
  await mstudio!.shows(/^removed +200[^]*5 of 5 answers as expected/m);
  equal((await stored()).length, 0);
  server!.interrupt();
  await sql.end();
}

/** The lines of a shell block that are for a runtime: a comment at the end of a line, or above several, names it. */
function linesFor(runtime: string, code: string): string[] {
  let above: string | undefined;
  return code.trim().split("\n").filter((line) => {
    const [, command, name] = /^(.*?)\s*(?:# (\S+))?$/.exec(line)!;
    if (command === "") above = name;
    return command !== "" && (name ?? above ?? "Deno") === runtime;
  });
}

/** A line that was typed into a terminal of its own. */
class Terminal {
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = "";

  constructor(readonly line: string, cwd: string, env: Record<string, string>, script = line) {
    // What `npx` tells its programs, a reader's terminal does not know: Bun would look for the Node that it names.
    const inherited = Object.entries(Deno.env.toObject())
      .filter(([name]) => !/^(npm_(?!config_).*|NODE|INIT_CWD)$/.test(name));
    this.#child = directory.spawn("/bin/sh", {
      args: ["-c", script],
      cwd,
      clearEnv: true,
      env: { ...Object.fromEntries(inherited), ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const reading = [this.#child.stdout, this.#child.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.#output += text;
    });
    this.#ended = Promise.all([this.#child.status, ...reading]);
  }

  async shows(pattern: RegExp): Promise<void> {
    let ended = false;
    this.#ended.finally(() => ended = true);
    await poll(() => ended || pattern.test(this.#output), { timeoutMs: LIMIT_MS }).catch(() => {});
    match(this.#output, pattern, `${this.line}: ${pattern} is not in ${this.#output}`);
  }

  async succeeds(): Promise<void> {
    const timer = setTimeout(() => this.interrupt(), LIMIT_MS);
    await this.#ended;
    clearTimeout(timer);
    equal((await this.#child.status).code, 0, `${this.line}: ${this.#output}`);
  }

  /** As Ctrl-C does. */
  interrupt(): void {
    Deno.kill(-this.#child.pid, "SIGINT");
  }
}

await finish(async () => {
  await providePostgres();
  const quickStarts = await readQuickStarts();
  const readers = READERS.filter(({ name }) =>
    Deno.args.length === 0 || Deno.args.some((part) => name.includes(part))
  );
  const verdicts = await mapBounded(readers, async (reader) => {
    const verdict = await follow(reader, quickStarts)
      .then(() => "ok", (error) => `FAILED\n${error}`);
    console.log(`quick start with ${reader.name}: ${verdict}`);
    return verdict;
  }, { limit: AT_ONCE });
  const passed = verdicts.filter((verdict) => verdict === "ok").length;
  console.log(`${passed} passed, ${verdicts.length - passed} failed`);
  return passed === verdicts.length && passed > 0 ? 0 : 1;
});

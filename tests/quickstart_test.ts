/**
 * Follows the quick start to the letter, in an empty folder per reader: the repository's README
 * with Deno, the npm package's with Node.js 20 and 24 and Bun. Checks the output and the stored
 * row.
 *
 * Exceptions: the package comes from this checkout instead of a registry; the ports are free ones;
 * the database differs.
 */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { parseEnv } from "node:util";
import postgres from "postgres";
import { buildEncryptionKey } from "../pg/encryption.ts";
import { mapBounded } from "../pg/internal/columns/map_bounded.ts";
import { blocksOf } from "./support/documents.ts";
import { createDatabase, poll } from "../tools/postgres/databases.ts";
import { readManifest } from "../tools/manifest.ts";
import { NPM_NAME } from "../tools/npm/manifest.ts";
import { type Program, startProgram } from "../tools/program.ts";
import { temporaryDirectory } from "../tools/temporary_directory.ts";
import { npmPackage } from "../tools/npm/package.ts";
import { join, repository } from "../tools/paths.ts";
import { cacheDirectory } from "../tools/npm/project.ts";
import { bunProgram, denoProgram, nodeProgram } from "../tools/npm/programs.ts";
import { freePort } from "../tools/free_port.ts";

/** Time limit for a command and its output in milliseconds. */
const LIMIT_MS = 120_000;

/** Number of concurrent readers. */
const AT_ONCE = 2;

/**
 * The readers: a program and its names in the PATH. npm's README names the runtime by the first
 * word.
 */
const READERS = [
  { name: "Node.js 20", program: () => nodeProgram(20), commands: ["node"] },
  { name: "Node.js 24", program: () => nodeProgram(24), commands: ["node"] },
  // Without a `node` in the PATH, Bun leaves one in /tmp.
  { name: "Bun", program: () => bunProgram(), commands: ["bun", "bunx", "node"] },
  { name: "Deno", program: () => denoProgram(), commands: ["deno"] },
];

/**
 * The sections of both READMEs with this checkout's package: its tarball for npm, a link for Deno.
 */
async function readQuickStarts(): Promise<Record<"deno" | "npm", string>> {
  const { directory, manifest, tarball } = await npmPackage();
  const { name } = await readManifest();
  const link = JSON.stringify({ links: [repository], imports: { [name]: `jsr:${name}` } });
  const read = async (path: string) =>
    /^## Quick start\n([^]*?)^## /m.exec(await Deno.readTextFile(path))![1]!;
  return {
    deno: (await read(join(repository, "README.md")))
      .replace(`deno add jsr:${name}`, "deno add")
      .replace(/(?<=echo '\{.*) \}/, `, ${link.slice(1)}`),
    npm: (await read(join(directory, "README.md")))
      .replaceAll(`${NPM_NAME}@${manifest.version}`, `${NPM_NAME}@file:${tarball}`),
  };
}

async function follow(
  reader: typeof READERS[number],
  quickStarts: Awaited<ReturnType<typeof readQuickStarts>>,
  directory: string,
): Promise<void> {
  const home = await Deno.makeTempDir({ dir: directory });
  const [cwd, bin] = [join(home, "extension"), join(home, "bin")];
  for (const path of [cwd, bin]) await Deno.mkdir(path);
  const runtime = reader.name.split(" ")[0]!;
  const { path } = await reader.program();
  for (const command of reader.commands) await Deno.symlink(path, join(bin, command));
  const env = {
    NO_COLOR: "1",
    // npm is the system's; Bun and Deno have no Node to fall back on.
    PATH: runtime === "Node.js" ? `${bin}:${Deno.env.get("PATH")}` : bin,
    npm_config_cache: join(cacheDirectory, "npm"),
    npm_config_prefer_offline: "true",
    BUN_INSTALL_CACHE_DIR: join(cacheDirectory, "bun"),
  };
  const type = (line: string, more = {}) => new Terminal(line, cwd, { ...env, ...more });
  // `bunx` ends immediately on Ctrl-C, before its program prints the rest.
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
          // A row of an earlier try does no harm.
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
  assertEquals(rows.length, 1);
  const variables = parseEnv(await Deno.readTextFile(join(cwd, ".env")));
  const { ENCRYPTION_MASTER_PASSWORD, ENCRYPTION_SALT } = variables;
  const key = buildEncryptionKey(ENCRYPTION_MASTER_PASSWORD!, ENCRYPTION_SALT!);
  assertNotEquals(await key.decrypt(rows[0]!["secret"]), "forged");
  await type(startMain, { ENCRYPTION_SALT: "another" }).shows(/another master password or salt/);
  await type(startMain, { DATABASE_URL: "" }).shows(/DATABASE_URL is not set/);
  if (runtime !== "Deno") {
    await type(`${reader.commands[0]} node_modules/typescript/bin/tsc`).succeeds();
  }

  mstudio!.interrupt();
  await mstudio!.shows(/^removed +200[^]*5 of 5 answers as expected/m);
  assertEquals((await stored()).length, 0);
  await server!.end();
  await sql.end();
}

/**
 * A runtime's lines in a shell block: a comment at the end of a line, or above several, names it.
 */
function linesFor(runtime: string, code: string): string[] {
  let above: string | undefined;
  return code.trim().split("\n").filter((line) => {
    const [, command, name] = /^(.*?)\s*(?:# (\S+))?$/.exec(line)!;
    if (command === "") above = name;
    return command !== "" && (name ?? above ?? "Deno") === runtime;
  });
}

/** A command in a separate terminal. */
class Terminal {
  readonly #program: Program;

  constructor(readonly line: string, cwd: string, env: Record<string, string>, script = line) {
    // `npx` sets variables that a reader's terminal lacks: Bun would use the Node that they name.
    const inherited = Object.entries(Deno.env.toObject())
      .filter(([name]) => !/^(npm_(?!config_).*|NODE|INIT_CWD)$/.test(name));
    this.#program = startProgram("/bin/sh", {
      args: ["-c", script],
      cwd,
      clearEnv: true,
      env: { ...Object.fromEntries(inherited), ...env },
    });
  }

  get #output(): string {
    return this.#program.printed.stdout + this.#program.printed.stderr;
  }

  async shows(pattern: RegExp): Promise<void> {
    let ended = false;
    this.#program.ended.finally(() => ended = true);
    const shown = () => ended || pattern.test(this.#output);
    await poll(shown, { timeoutMs: LIMIT_MS }).catch(() => {});
    assertMatch(this.#output, pattern, `${this.line}: ${pattern} is not in ${this.#output}`);
  }

  async succeeds(): Promise<void> {
    const timer = setTimeout(() => this.interrupt(), LIMIT_MS);
    const { code } = await this.#program.ended;
    clearTimeout(timer);
    assertEquals(code, 0, `${this.line}: ${this.#output}`);
  }

  /** Like Ctrl-C. */
  interrupt(): void {
    this.#program.kill("SIGINT");
  }

  async end(): Promise<void> {
    this.interrupt();
    await this.#program.ended;
  }
}

// Both at once take less time than one after the other.
Deno.test("the quick starts of both READMEs, followed to the letter", async (t) => {
  await using directory = temporaryDirectory();
  const quickStarts = await readQuickStarts();
  await mapBounded(READERS, (reader) =>
    t.step({
      name: reader.name,
      fn: () => follow(reader, quickStarts, directory.path),
      sanitizeOps: false,
      sanitizeResources: false,
      sanitizeExit: false,
    }), { limit: AT_ONCE });
});

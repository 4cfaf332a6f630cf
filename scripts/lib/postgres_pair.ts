/**
 * Two throwaway PostgreSQL servers: a primary, and a synchronous standby that takes over when the primary is killed.
 *
 * @module
 */
import postgres from "postgres";
import { freePort } from "./free_port.ts";
import type { GuardedDirectory } from "./guarded_directory.ts";
import { join } from "./paths.ts";
import { type PostgresBinaries, serverUser } from "./postgres_binaries.ts";

/** Longest time to wait for a server to change its state, in milliseconds. */
const LIMIT_MS = 60_000;

/** What the takeover needs besides the server itself. */
const PROGRAMS = ["pg_basebackup", "pg_ctl"];

/** A primary and its standby. */
export interface PostgresPair {
  /** URL of the primary's `postgres` database. */
  readonly primaryUrl: string;
  /** URL with both hosts, for whoever needs a server that can be written to. */
  readonly bothUrl: string;
  /** Kills the primary, promotes the standby, and resolves to the URL of its `postgres` database. */
  failOver(): Promise<string>;
}

/** Which of the programs that a pair needs an installation lacks. */
export async function missingPrograms({ bin }: PostgresBinaries): Promise<string[]> {
  const found = await Promise.all(
    PROGRAMS.map((name) => Deno.stat(join(bin, name)).then(() => true, () => false)),
  );
  return PROGRAMS.filter((_, index) => !found[index]);
}

/**
 * Starts both.
 *
 * @param directory Holds them, and ends them.
 * @param binaries The programs.
 * @throws {Error} When one of them does not start.
 */
export async function startPair(
  directory: GuardedDirectory,
  { bin }: PostgresBinaries,
): Promise<PostgresPair> {
  const home = await Deno.makeTempDir({ dir: directory.path, prefix: "pair-" });
  const password = crypto.randomUUID();
  const passwordFile = join(home, "password");
  await Deno.writeTextFile(passwordFile, password, { mode: 0o600 });
  if (serverUser.uid !== undefined && serverUser.gid !== undefined) {
    for (const path of [home, passwordFile]) {
      await Deno.chown(path, serverUser.uid, serverUser.gid);
    }
  }
  const spawn = (program: string, args: string[]) =>
    directory.spawn(join(bin, program), {
      args,
      cwd: home,
      env: { LC_ALL: "C", PGPASSWORD: password },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      ...serverUser,
    }, "QUIT");
  const runToEnd = async (program: string, args: string[]) => {
    const { success, stderr } = await spawn(program, args).output();
    if (!success) throw new Error(`Running ${program}: ${new TextDecoder().decode(stderr)}`);
  };
  const startServer = async (name: string) => {
    const port = freePort();
    const settings = {
      port,
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      dynamic_shared_memory_type: "mmap",
      // Processes are killed, the computer is not.
      fsync: "off",
    };
    const child = spawn("postgres", [
      "-D",
      join(home, name),
      ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
    ]);
    const log = new Response(child.stderr).text();
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    const answered = until(`starting the ${name}`, () => query(url, "select 1"));
    const ended = child.status.then(async () => {
      throw new Error(`Starting the ${name}: it ended\n${await log}`);
    });
    ended.catch(() => {});
    await Promise.race([answered, ended]);
    return { child, port, url };
  };

  await runToEnd("initdb", [
    `--pgdata=${join(home, "primary")}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
  ]);
  const primary = await startServer("primary");
  await runToEnd("pg_basebackup", [
    `--pgdata=${join(home, "standby")}`,
    `--dbname=host=127.0.0.1 port=${primary.port} user=postgres`,
    "--write-recovery-conf",
    "--checkpoint=fast",
    "--no-sync",
  ]);
  const standby = await startServer("standby");
  // After the copy was made: as the new primary, the standby must not wait for a standby of its own.
  await query(primary.url, "alter system set synchronous_standby_names = '*'");
  await query(primary.url, "select pg_reload_conf()");
  await until("replicating synchronously", async () => {
    const rows = await query(primary.url, "select sync_state from pg_stat_replication");
    return rows.length === 1 && rows[0]!["sync_state"] === "sync";
  });

  return {
    primaryUrl: primary.url,
    bothUrl: `postgres://postgres:${password}@127.0.0.1:${primary.port},127.0.0.1:${standby.port}` +
      "/postgres?target_session_attrs=read-write",
    async failOver() {
      const processes = await query(primary.url, "select pid from pg_stat_activity");
      primary.child.kill("SIGKILL");
      for (const { pid } of processes) {
        try {
          Deno.kill(Number(pid), "SIGKILL");
        } catch { /* it has ended */ }
      }
      await primary.child.status;
      await runToEnd("pg_ctl", ["promote", "--wait", `--pgdata=${join(home, "standby")}`]);
      return standby.url;
    },
  };
}

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}

async function until(attempt: string, fn: () => Promise<unknown>): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  while (!await fn().catch(() => false)) {
    if (Date.now() > limit) throw new Error(`Waiting for PostgreSQL: ${attempt} took too long`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

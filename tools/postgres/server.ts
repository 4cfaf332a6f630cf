/**
 * Throwaway PostgreSQL servers: on 127.0.0.1, on a free port, without durability, with a random
 * password, run by an unprivileged user in a temporary directory.
 */
import { freePort } from "../free_port.ts";
import { join } from "../paths.ts";
import { type Program, startProgram } from "../program.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../temporary_directory.ts";
import { findPostgres, type PostgresBinaries, serverUser } from "./binaries.ts";

export interface PostgresServerOptions {
  /** Its directory. Default: a new one, removed with the server. */
  readonly directory?: TemporaryDirectory;
  /** The programs. Default: the first that {@linkcode findPostgres} finds. */
  readonly binaries?: PostgresBinaries;
  /** Settings for postgresql.conf, for example `{ timezone: "America/New_York" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** URL of a primary that it follows as a standby, with the same passwords. */
  readonly primaryUrl?: string;
}

export interface PostgresServer extends AsyncDisposable {
  /** The superuser's URL of the database `postgres`; the same after a restart. */
  readonly url: string;
  /** Shuts the server down and closes connections; with SIGQUIT like a crash. Its data stays. */
  stop(signal?: "SIGINT" | "SIGQUIT"): Promise<void>;
  /** Starts the server again after {@linkcode PostgresServer.stop}. */
  start(): Promise<void>;
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  // The data is discarded.
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  // Shared memory as files in the data directory, so that nothing can stay in /dev/shm.
  dynamic_shared_memory_type: "mmap",
  timezone: "UTC",
};

/** Time limit for a server's start in milliseconds; it takes 50 to 200. */
const START_LIMIT_MS = 60_000;

/** How often to try another port if the first one was taken meanwhile. */
const PORT_ATTEMPTS = 5;

/**
 * Creates a database cluster and starts a server on it.
 *
 * @throws {Error} When it does not start; the message ends with the server's output.
 */
export async function startServer(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  await using stack = new AsyncDisposableStack();
  const directory = options.directory ?? stack.use(temporaryDirectory());
  const { bin } = options.binaries ?? await findPostgres(directory.path);
  // On 127.0.0.1 every user of the machine can connect, and a superuser can run programs.
  const password = options.primaryUrl === undefined
    ? crypto.randomUUID()
    : new URL(options.primaryUrl).password;
  const start = await createCluster(directory.path, bin, password, options);
  let port = 0;
  let server: Program | undefined;
  for (let attempt = 0; server === undefined && attempt < PORT_ATTEMPTS; attempt++) {
    server = await start(port = freePort());
  }
  if (server === undefined) throw new Error("Starting PostgreSQL: every port was taken");
  // "Fast" shutdown: rolls back open transactions and closes connections.
  const stop = async (signal: "SIGINT" | "SIGQUIT" = "SIGINT") => {
    server?.kill(signal);
    await server?.ended;
  };
  stack.defer(stop);
  const owned = stack.move();
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    stop,
    start: async () => void (server = await start(port)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Returns a function that starts a server on a port; it resolves to `undefined` if the port is
 * taken.
 */
async function createCluster(
  directory: string,
  bin: string,
  password: string,
  { settings, primaryUrl }: PostgresServerOptions,
): Promise<(port: number) => Promise<Program | undefined>> {
  // The server's user owns this directory, so that initdb can use it.
  const home = await Deno.makeTempDir({ dir: directory, prefix: "server-" });
  const [data, passwordFile] = [join(home, "data"), join(home, "password")];
  await Deno.writeTextFile(passwordFile, password, { mode: 0o600 });
  for (const path of [home, passwordFile]) {
    await Deno.chown(path, serverUser.uid ?? null, serverUser.gid ?? null);
  }
  const start = (program: string, args: string[]) =>
    startProgram(join(bin, program), {
      args,
      cwd: home,
      env: { LC_ALL: "C" },
      ...serverUser,
      // "Immediate" shutdown: without writing anything back.
      endSignal: "QUIT",
    });

  const [program, ...args] = primaryUrl === undefined
    ? [
      "initdb",
      "--username=postgres",
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
    ]
    : ["pg_basebackup", `--dbname=${primaryUrl}`, "--write-recovery-conf", "--checkpoint=fast"];
  const { code, stderr } = await start(program!, [...args, `--pgdata=${data}`, "--no-sync"]).ended;
  if (code !== 0) {
    const advice = /could not look up effective user/.test(stderr)
      ? ": PostgreSQL runs only for users that have a name; add this one to /etc/passwd, or set " +
        "TEST_DATABASE_URL to a server that runs"
      : "";
    throw new Error(`Creating a PostgreSQL cluster: ${program} failed${advice}\n${stderr.trim()}`);
  }

  return async (port) => {
    const server = start("postgres", [
      "-D",
      data,
      ...Object.entries({ ...SETTINGS, ...settings, port })
        .flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ]);
    const limit = Date.now() + START_LIMIT_MS;
    while (!await isReady(data, server.pid)) {
      if (!server.isRunning() || Date.now() > limit) {
        await server.end();
        const { stderr } = await server.ended;
        if (/could not bind|Address already in use/.test(stderr)) return undefined;
        throw new Error(
          `Starting PostgreSQL: it did not get ready\n${stderr.slice(-8_000).trim()}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return server;
  };
}

/** The server writes its state into the data directory's lock file, which `pg_ctl` reads, too. */
async function isReady(data: string, pid: number): Promise<boolean> {
  const lines = (await Deno.readTextFile(join(data, "postmaster.pid")).catch(() => "")).split("\n");
  return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
}

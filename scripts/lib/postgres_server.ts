/**
 * Throwaway PostgreSQL servers: on 127.0.0.1, on a free port, without durability, with a random password,
 * run by an unprivileged user in a temporary directory.
 *
 * @module
 */
import { GuardedDirectory } from "./guarded_directory.ts";
import { join } from "./paths.ts";
import { findPostgres, type PostgresBinaries, serverUser } from "./postgres_binaries.ts";

/** How to start a server. */
export interface PostgresServerOptions {
  /** Where it lives. Default: a directory of its own, removed when the server is disposed of. */
  readonly directory?: GuardedDirectory;
  /** The programs. Default: the first that {@linkcode findPostgres} finds. */
  readonly binaries?: PostgresBinaries;
  /** Settings of postgresql.conf, for example `{ timezone: "America/New_York" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A running server. */
export interface PostgresServer extends AsyncDisposable {
  /** URL of the `postgres` database for the superuser; the same after a restart. */
  readonly url: string;
  /** Shuts the server down, connections and all. Its data stays. */
  stop(): Promise<void>;
  /** Starts the server again after {@linkcode PostgresServer.stop}. */
  start(): Promise<void>;
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  // The data is thrown away.
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  // Shared memory as files of the data directory: nothing stays in /dev/shm whatever happens.
  dynamic_shared_memory_type: "mmap",
  timezone: "UTC",
};

/** Longest time to wait for a server, in milliseconds; a start takes 50 to 200. */
const START_LIMIT_MS = 60_000;

/** How often another port is tried when somebody else was quicker. */
const PORT_ATTEMPTS = 5;

/**
 * Creates a database cluster and starts a server on it.
 *
 * @param options Place, programs and settings.
 * @returns The server, ready for connections.
 * @throws {Error} When it does not start; the message ends with what the server printed.
 */
export async function startServer(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const directory = options.directory ?? new GuardedDirectory();
  try {
    const { bin } = options.binaries ?? await findPostgres(directory);
    const cluster = await createCluster(directory, bin, options.settings ?? {});
    let server = await cluster.startOnFreePort();
    const stop = async () => {
      // SIGINT is the "fast" shutdown: open transactions are rolled back, connections closed.
      server.kill("SIGINT");
      await server.ended;
    };
    return {
      url: server.url,
      stop,
      start: async () => void (server = await cluster.start(server.port)),
      [Symbol.asyncDispose]: () => options.directory === undefined ? directory.close() : stop(),
    };
  } catch (error) {
    if (options.directory === undefined) await directory.close();
    throw error;
  }
}

interface RunningServer {
  readonly url: string;
  readonly port: number;
  readonly ended: Promise<unknown>;
  kill(signal: Deno.Signal): void;
}

class PortTakenError extends Error {}

async function createCluster(
  directory: GuardedDirectory,
  bin: string,
  settings: Readonly<Record<string, string>>,
) {
  // The server's user owns this directory, so that initdb can work in it.
  const home = await Deno.makeTempDir({ dir: directory.path, prefix: "server-" });
  const data = join(home, "data");
  const passwordFile = join(home, "password");
  // On 127.0.0.1 every user of the machine could connect, and a superuser may run programs.
  const password = crypto.randomUUID();
  await Deno.writeTextFile(passwordFile, password, { mode: 0o600 });
  if (serverUser.uid !== undefined && serverUser.gid !== undefined) {
    await Deno.chown(home, serverUser.uid, serverUser.gid);
    await Deno.chown(passwordFile, serverUser.uid, serverUser.gid);
  }
  const spawn = (program: string, args: string[]) =>
    directory.spawn(join(bin, program), {
      args,
      cwd: home,
      env: { LC_ALL: "C" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      // "Immediate" shutdown: at once, without writing anything back.
      endSignal: "QUIT",
      ...serverUser,
    });

  const initdb = await spawn("initdb", [
    `--pgdata=${data}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
  ]).output();
  if (!initdb.success) {
    throw new Error(
      `Creating a PostgreSQL cluster: initdb failed\n${new TextDecoder().decode(initdb.stderr)}`,
    );
  }

  const start = async (port: number): Promise<RunningServer> => {
    const child = spawn("postgres", [
      "-D",
      data,
      ...Object.entries({ ...SETTINGS, ...settings, port: String(port) })
        .flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ]);
    const log = lastOutput(child.stderr);
    let running = true;
    const ended = child.status.finally(() => running = false);
    const limit = Date.now() + START_LIMIT_MS;
    while (!await isReady(data, child.pid)) {
      if (!running || Date.now() > limit) {
        if (running) child.kill("SIGKILL");
        const output = await log;
        throw new (/could not bind|Address already in use/.test(output) ? PortTakenError : Error)(
          `Starting PostgreSQL on port ${port}: it ${
            running ? "is not ready" : "ended"
          }\n${output}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      port,
      ended: Promise.all([ended, log]),
      kill: (signal) => running && child.kill(signal),
    };
  };

  const startOnFreePort = async (): Promise<RunningServer> => {
    for (let attempt = 1;; attempt++) {
      try {
        return await start(freePort());
      } catch (error) {
        if (!(error instanceof PortTakenError) || attempt === PORT_ATTEMPTS) throw error;
      }
    }
  };

  return { start, startOnFreePort };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** The server writes its state into the lock file of the data directory; `pg_ctl` reads it there, too. */
async function isReady(data: string, pid: number): Promise<boolean> {
  const lines = (await Deno.readTextFile(join(data, "postmaster.pid")).catch(() => "")).split("\n");
  return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
}

/** Reads a stream to its end and keeps the last part, for messages. */
async function lastOutput(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let output = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    output = (output + text).slice(-8_000);
  }
  return output.trim();
}

/**
 * PgBouncer in transaction mode: the system's, or that of the Debian package, unpacked without installing it.
 *
 * @module
 */
import type { GuardedDirectory } from "../lib/guarded_directory.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";
import { serverUser } from "../lib/postgres_binaries.ts";
import { cacheDirectory } from "./npm_project.ts";

/** What Debian's package needs besides what every system has. */
const DEBIAN_PACKAGES = ["pgbouncer", "libevent-2.1-7", "libc-ares2"];

/** Longest time to wait for it, in milliseconds. */
const START_LIMIT_MS = 10_000;

/** A running PgBouncer. */
export interface PgBouncer {
  readonly version: string;
  /** The URL of a database, through it. */
  through(url: string): string;
}

interface Installation {
  readonly program: string;
  readonly env: Record<string, string>;
}

/**
 * Finds or gets the program.
 *
 * @throws {Error} When neither is possible.
 */
async function findPgBouncer(directory: GuardedDirectory): Promise<Installation> {
  for (const program of ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]) {
    if (await exists(program)) return { program, env: {} };
  }
  const downloads = join(cacheDirectory, "debian");
  if (!await exists(join(downloads, "complete"))) {
    await Deno.mkdir(downloads, { recursive: true });
    await runInDirectory(downloads, "apt-get", ["download", "-q", ...DEBIAN_PACKAGES]);
    await Deno.writeTextFile(join(downloads, "complete"), "");
  }
  // Here, and not in the cache, its unprivileged user can reach it.
  const unpacked = join(directory.path, "pgbouncer");
  for await (const { name } of Deno.readDir(downloads)) {
    if (name.endsWith(".deb")) {
      await runInDirectory(downloads, "dpkg-deb", ["-x", name, unpacked]);
    }
  }
  const libraries = join(unpacked, "usr/lib");
  const machines = Array.from(Deno.readDirSync(libraries), ({ name }) => join(libraries, name));
  return {
    program: join(unpacked, "usr/sbin/pgbouncer"),
    env: { LD_LIBRARY_PATH: machines.join(":") },
  };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/**
 * Starts it in front of a server.
 *
 * @param directory Ends it.
 * @param serverUrl URL of the server.
 */
export async function startPgBouncer(
  directory: GuardedDirectory,
  serverUrl: string,
): Promise<PgBouncer> {
  const { program, env } = await findPgBouncer(directory);
  const { stdout } = await runInDirectory("/", program, ["--version"], env);
  const { hostname, port: serverPort, username, password } = new URL(serverUrl);
  const port = freePort();
  const home = await Deno.makeTempDir({ dir: directory.path, prefix: "pgbouncer-" });
  const config = join(home, "pgbouncer.ini");
  const login = `user=${username} password=${decodeURIComponent(password)}`;
  await Deno.writeTextFile(
    config,
    `[databases]
* = host=${hostname} port=${serverPort} ${login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
`,
    { mode: 0o600 },
  );
  const { uid, gid } = serverUser;
  if (uid !== undefined && gid !== undefined) {
    await Deno.chown(home, uid, gid);
    await Deno.chown(config, uid, gid);
  }
  const child = directory.spawn(program, {
    args: ["--quiet", config],
    cwd: home,
    env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    ...serverUser,
  });
  let running = true;
  child.status.then(() => running = false);
  const limit = Date.now() + START_LIMIT_MS;
  while (!await answers(port)) {
    if (!running || Date.now() > limit) throw new Error("Starting PgBouncer: it does not answer");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return {
    version: /\d+(?:\.\d+)+/.exec(stdout)![0],
    through(url) {
      const result = new URL(url);
      result.hostname = "127.0.0.1";
      result.port = String(port);
      return result.href;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/**
 * PgBouncer in transaction mode: the system's, or that of the Debian package, unpacked without installing it.
 *
 * @module
 */
import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";
import { serverUser } from "../lib/postgres_binaries.ts";
import { poll } from "../../tests/support/postgres.ts";
import { cacheDirectory } from "./npm_project.ts";
import type { Shared } from "./shared.ts";
import type { Between } from "./server.ts";
import { UnavailableError } from "./target.ts";

/** What Debian's package needs besides what every system has. */
const DEBIAN_PACKAGES = ["pgbouncer", "libevent-2.1-7", "libc-ares2"];

interface Installation {
  readonly program: string;
  readonly env: Record<string, string>;
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

/** Finds or gets the program. */
async function findPgBouncer(shared: Shared): Promise<Installation> {
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
  const unpacked = shared.path("pgbouncer");
  for await (const { name } of Deno.readDir(downloads)) {
    if (!name.endsWith(".deb")) continue;
    await runInDirectory(downloads, "dpkg-deb", ["-x", name, unpacked]);
  }
  const libraries = join(unpacked, "usr/lib");
  const machines = Array.from(Deno.readDirSync(libraries), ({ name }) => join(libraries, name));
  return {
    program: join(unpacked, "usr/sbin/pgbouncer"),
    env: { LD_LIBRARY_PATH: machines.join(":") },
  };
}

/** Starts it in front of the server of a database. */
export async function startPgBouncer(shared: Shared, url: string): Promise<Between> {
  const { program, env } = await findPgBouncer(shared).catch((error) => {
    throw new UnavailableError(`PgBouncer cannot be had here: ${error.message.split("\n")[0]}`);
  });
  const { stdout } = await runInDirectory("/", program, ["--version"], env);
  const through = new URL(url);
  const { hostname, port, username, password } = through;
  through.port = String(freePort());
  const home = await Deno.makeTempDir({ dir: shared.path(), prefix: "pgbouncer-" });
  const config = join(home, "pgbouncer.ini");
  await Deno.writeTextFile(
    config,
    `[databases]
* = host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${through.port}
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
    for (const path of [home, config]) await Deno.chown(path, uid, gid);
  }
  const child = shared.directory.spawn(program, {
    args: ["--quiet", config],
    cwd: home,
    env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    ...serverUser,
  });
  await poll(async () => {
    (await Deno.connect({ hostname: "127.0.0.1", port: Number(through.port) })).close();
    return true;
  });
  through.hostname = "127.0.0.1";
  return {
    url: through.href,
    version: /PgBouncer [\d.]+/.exec(stdout)![0],
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

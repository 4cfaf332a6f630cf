/** PgBouncer in transaction mode: the system's, or an unpacked Debian package's. */
import { runProgram, startProgram } from "../program.ts";
import { join } from "../paths.ts";
import { serverUser } from "../postgres/binaries.ts";
import { poll } from "../postgres/databases.ts";
import type { Between } from "./server.ts";
import type { Shared } from "./shared.ts";
import { messageOf, UnavailableError } from "./target.ts";
import { freePort } from "../free_port.ts";

const SYSTEM = "/usr/sbin/pgbouncer";

/** Dependencies of Debian's package that not every system has. */
const DEBIAN_PACKAGES = ["pgbouncer", "libevent-2.1-7", "libc-ares2"];

async function findPgBouncer(shared: Shared): Promise<{ program: string; libraries: string }> {
  const isInstalled = await Deno.stat(SYSTEM).then(() => true, () => false);
  if (isInstalled) return { program: SYSTEM, libraries: "" };
  const unpacked = shared.path("pgbouncer");
  await Deno.mkdir(unpacked);
  await runProgram(unpacked, "apt-get", ["download", "-q", ...DEBIAN_PACKAGES]);
  const unpack = "for package in *.deb; do dpkg-deb -x $package . || exit; done";
  await runProgram(unpacked, "/bin/sh", ["-c", unpack]);
  const root = join(unpacked, "usr/lib");
  const libraries = Array.from(Deno.readDirSync(root), ({ name }) => join(root, name)).join(":");
  return { program: join(unpacked, SYSTEM), libraries };
}

export async function startPgBouncer(shared: Shared, url: string): Promise<Between> {
  const { program, libraries } = await findPgBouncer(shared).catch((error) => {
    throw new UnavailableError(`Finding PgBouncer: ${messageOf(error).split("\n").at(-1)}`);
  });
  const env = { LD_LIBRARY_PATH: libraries };
  const { stdout } = await runProgram("/", program, ["--version"], env);
  const server = new URL(url);
  const port = freePort();
  const home = await Deno.makeTempDir({ dir: shared.path(), prefix: "pgbouncer-" });
  const config = join(home, "pgbouncer.ini");
  const login = `user=${server.username} password=${decodeURIComponent(server.password)}`;
  await Deno.writeTextFile(
    config,
    `[databases]
* = host=${server.hostname} port=${server.port} ${login}
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
  for (const path of [home, config]) {
    await Deno.chown(path, serverUser.uid ?? null, serverUser.gid ?? null);
  }
  const args = ["--quiet", config];
  const pgbouncer = startProgram(program, { args, cwd: home, env, ...serverUser });
  await poll(async () => {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  });
  server.host = `127.0.0.1:${port}`;
  return {
    url: server.href,
    version: /PgBouncer [\d.]+/.exec(stdout)![0],
    [Symbol.asyncDispose]: async () => void await pgbouncer.end(),
  };
}

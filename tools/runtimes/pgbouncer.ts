/** The system's PgBouncer in transaction mode. */
import { runProgram, startProgram } from "../program.ts";
import { join } from "../paths.ts";
import { serverUser } from "../postgres/binaries.ts";
import { poll } from "../postgres/databases.ts";
import type { Between } from "./server.ts";
import type { Shared } from "./shared.ts";
import { UnavailableError } from "./target.ts";
import { freePort } from "../free_port.ts";

const PROGRAM = "/usr/sbin/pgbouncer";

export async function startPgBouncer(shared: Shared, url: string): Promise<Between> {
  const { stdout } = await runProgram("/", PROGRAM, ["--version"]).catch(() => {
    throw new UnavailableError(`${PROGRAM} does not run, install the package pgbouncer`);
  });
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
  const pgbouncer = startProgram(PROGRAM, { args, cwd: home, ...serverUser });
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

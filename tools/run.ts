/** The start and the end of every task: a temporary directory, PostgreSQL, and cleaning up. */
import { fromFileUrl, join, repository } from "./paths.ts";
import { findPostgres } from "./postgres/binaries.ts";
import { startServer } from "./postgres/server.ts";
import { endPrograms, startGuard } from "./program.ts";
import { type TemporaryDirectory, temporaryDirectory } from "./temporary_directory.ts";

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Run at the end, after all programs have ended. */
const endings: (() => Promise<void>)[] = [];

/**
 * Does the work of a task, cleans up and exits. A signal ends the work early.
 *
 * @param work Resolves to the exit status.
 */
export async function runTask(
  work: (directory: TemporaryDirectory) => Promise<number>,
): Promise<never> {
  // PostgreSQL's user must be able to read the unpacked files.
  Deno.umask(0o022);
  const directory = temporaryDirectory();
  // What programs keep for later goes with this directory.
  for (const name of ["TMPDIR", "RUN_DIRECTORY", "BUN_RUNTIME_TRANSPILER_CACHE_PATH"]) {
    Deno.env.set(name, directory.path);
  }
  const signalled = Promise.withResolvers<number>();
  for (const [signal, status] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(signal as keyof typeof SIGNALS, () => signalled.resolve(status));
  }
  let status = 1;
  try {
    status = await Promise.race([work(directory), signalled.promise]);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  }
  await endPrograms();
  for (const end of endings) await end();
  await directory[Symbol.asyncDispose]();
  Deno.exit(status);
}

/**
 * Provides PostgreSQL: the server in TEST_DATABASE_URL, where this run's databases are dropped at
 * the end, or a new server. Sets TEST_SERVER_URL to its address and TEST_DATABASE_PREFIX to the
 * prefix of database names.
 *
 * @returns A description of the server.
 */
export async function providePostgres(directory: TemporaryDirectory): Promise<string> {
  const externalUrl = Deno.env.get("TEST_DATABASE_URL");
  const prefix = `mitthooks_test_${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}_`;
  Deno.env.set("TEST_DATABASE_PREFIX", prefix);
  if (externalUrl) {
    Deno.env.set("TEST_SERVER_URL", externalUrl);
    const program = fromFileUrl(import.meta.resolve("./postgres/databases.ts"));
    const config = `--config=${join(repository, "deno.json")}`;
    endings.push(
      startGuard(Deno.execPath(), ["run", "-A", "--quiet", "--no-check", config, program, prefix]),
    );
    return "PostgreSQL: that of TEST_DATABASE_URL";
  }
  const binaries = await findPostgres(directory.path);
  Deno.env.set("TEST_SERVER_URL", (await startServer({ directory, binaries })).url);
  Deno.env.set("TEST_POSTGRES", binaries.bin);
  return `${binaries.version} from ${binaries.origin}`;
}

/**
 * What every program that needs PostgreSQL begins and ends with: a directory that goes with it, a server, and an end on
 * signals.
 *
 * @module
 */
import { GuardedDirectory } from "./guarded_directory.ts";
import { fromFileUrl, join, repository } from "./paths.ts";
import { findPostgres } from "./postgres/binaries.ts";
import { startServer } from "./postgres/server.ts";

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A program's run. */
export interface GuardedRun {
  /** Is removed, and what it started is ended, however the run ends. */
  readonly directory: GuardedDirectory;
  /** The server in TEST_DATABASE_URL; databases with the prefix are dropped from it at the end. */
  readonly externalUrl: string | undefined;
  /** Begins the names of all databases of this run. */
  readonly prefix: string;
  /** Starts a server, unless there is an external one. TEST_SERVER_URL has its address then. */
  providePostgres(): Promise<void>;
  /**
   * Does the work, cleans up and ends the program. A signal ends it early.
   *
   * @param work Resolves to the exit status.
   * @param cleanUp Runs in any case, before the directory is removed.
   */
  finish(work: () => Promise<number>, cleanUp?: () => Promise<void>): Promise<never>;
}

/** Begins a run. */
export function beginGuardedRun(): GuardedRun {
  const externalUrl = Deno.env.get("TEST_DATABASE_URL") || undefined;
  const prefix = `mitthooks_test_${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}_`;
  Deno.env.set("TEST_DATABASE_PREFIX", prefix);
  // PostgreSQL's user must be able to read what is unpacked for it.
  Deno.umask(0o022);
  if (externalUrl !== undefined) Deno.env.set("TEST_SERVER_URL", externalUrl);
  const directory = new GuardedDirectory(externalUrl === undefined ? [] : dropCommand(prefix));
  const signalled = Promise.withResolvers<number>();
  for (const [signal, status] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(signal as keyof typeof SIGNALS, () => signalled.resolve(status));
  }
  return {
    directory,
    externalUrl,
    prefix,
    async providePostgres() {
      if (externalUrl !== undefined) return console.log("PostgreSQL: that of TEST_DATABASE_URL");
      const binaries = await findPostgres(directory);
      Deno.env.set("TEST_SERVER_URL", (await startServer({ directory, binaries })).url);
      Deno.env.set("TEST_POSTGRES", binaries.bin);
      console.log(`${binaries.version} from ${binaries.origin}`);
    },
    async finish(work, cleanUp) {
      let status = 1;
      try {
        status = await Promise.race([work(), signalled.promise]);
      } catch (error) {
        console.error(error instanceof Error ? error.message : error);
      } finally {
        await cleanUp?.();
        await directory.close();
      }
      Deno.exit(status);
    },
  };
}

/** Drops the databases of one run from the server in TEST_SERVER_URL, for when the run itself cannot any more. */
function dropCommand(prefix: string): string[] {
  const program = fromFileUrl(new URL("./drop_databases.ts", import.meta.url));
  const config = `--config=${join(repository, "deno.json")}`;
  return [Deno.execPath(), "run", "-A", "--quiet", config, program, prefix];
}

/**
 * `deno task test`: runs the tests against PostgreSQL.
 *
 * The server is the one in TEST_DATABASE_URL, where scratch databases are created and dropped, or a
 * throwaway one from the system's programs or an npm package (TEST_POSTGRES=system|npm forces one).
 * Arguments go to `deno test`. Nothing stays behind, however the run ends.
 *
 * @module
 */
import { GuardedDirectory } from "./lib/guarded_directory.ts";
import { importMapWithoutJsr } from "./lib/import_map.ts";
import { join, repository } from "./lib/paths.ts";
import { findPostgres } from "./lib/postgres_binaries.ts";
import { startServer } from "./lib/postgres_server.ts";
import { dropCommand, scratchPrefix } from "./lib/scratch_databases.ts";
import { everything, namesFiles } from "./lib/test_arguments.ts";

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

const externalUrl = Deno.env.get("TEST_DATABASE_URL") || undefined;
const prefix = scratchPrefix();
// PostgreSQL's user must be able to read what is unpacked for it.
Deno.umask(0o022);

if (externalUrl !== undefined) Deno.env.set("TEST_SERVER_URL", externalUrl);
const directory = new GuardedDirectory(
  externalUrl === undefined ? {} : { finally: dropCommand(prefix) },
);

const signalled = Promise.withResolvers<number>();
for (const [signal, status] of Object.entries(SIGNALS)) {
  Deno.addSignalListener(signal as keyof typeof SIGNALS, () => signalled.resolve(status));
}

let status = 1;
try {
  status = await Promise.race([runTests(), signalled.promise]);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  await directory.close();
}
Deno.exit(status);

async function runTests(): Promise<number> {
  const env: Record<string, string> = {
    TEST_DATABASE_PREFIX: prefix,
    TMPDIR: join(directory.path, "tmp"),
  };
  if (externalUrl !== undefined) {
    env["TEST_SERVER_URL"] = externalUrl;
    console.log("PostgreSQL: the server in TEST_DATABASE_URL");
  } else {
    const binaries = await findPostgres(directory);
    const server = await startServer({ directory, binaries });
    env["TEST_SERVER_URL"] = server.url;
    env["TEST_POSTGRES"] = binaries.bin;
    console.log(`${binaries.version} from ${binaries.origin}`);
  }
  const importMap = await importMapWithoutJsr(directory.path);
  if (importMap !== undefined) env["TEST_IMPORT_MAP"] = importMap;
  const tests = directory.spawn(Deno.execPath(), {
    args: [
      "test",
      "-A",
      // Warnings about the dependencies of dependencies are nothing that a run of the tests is about.
      "--quiet",
      ...importMap === undefined ? [] : [`--import-map=${importMap}`],
      ...namesFiles(Deno.args) ? [] : everything(),
      ...Deno.args,
    ],
    cwd: repository,
    env,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  });
  return (await tests.status).code;
}

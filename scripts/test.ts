/**
 * `deno task test`: runs the tests against PostgreSQL.
 *
 * The server is the one in TEST_DATABASE_URL, where scratch databases are created and dropped, or a
 * throwaway one from the system's programs or an npm package (TEST_POSTGRES=system|npm forces one).
 * Arguments go to `deno test`. Nothing stays behind, however the run ends.
 *
 * @module
 */
import { beginGuardedRun } from "./lib/guarded_run.ts";
import { importMapWithoutJsr } from "./lib/import_map.ts";
import { join, repository } from "./lib/paths.ts";
import { findPostgres } from "./lib/postgres_binaries.ts";
import { startServer } from "./lib/postgres_server.ts";
import { everything, namesFiles } from "./lib/test_arguments.ts";

const { directory, externalUrl, prefix, finish } = beginGuardedRun();
await finish(runTests);

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
  const all = !namesFiles(Deno.args);
  if (all) console.log("All tests: takes about 6 minutes on two cores, PostgreSQL included");
  const startedAt = performance.now();
  const importMap = await importMapWithoutJsr(directory.path);
  if (importMap !== undefined) env["TEST_IMPORT_MAP"] = importMap;
  const tests = directory.spawn(Deno.execPath(), {
    args: [
      "test",
      "-A",
      // Warnings about the dependencies of dependencies are nothing that a run of the tests is about.
      "--quiet",
      ...importMap === undefined ? [] : [`--import-map=${importMap}`],
      ...all ? everything() : [],
      ...Deno.args,
    ],
    cwd: repository,
    env,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  });
  const { code } = await tests.status;
  console.log(
    `Tests: ${code === 0 ? "passed" : "FAILED"} after ${
      describeDuration(performance.now() - startedAt)
    }`,
  );
  return code;
}

function describeDuration(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

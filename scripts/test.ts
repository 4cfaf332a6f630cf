/**
 * `deno task test`: runs the tests against PostgreSQL.
 *
 * The server is that of TEST_DATABASE_URL, with scratch databases, or a throwaway one from the
 * system's programs or an npm package (TEST_POSTGRES=system|npm selects one). Arguments go to
 * `deno test`. However the run ends, it leaves nothing behind.
 */
import { importMapWithoutJsr } from "../tools/import_map.ts";
import { repository } from "../tools/paths.ts";
import { startProgram } from "../tools/program.ts";
import { providePostgres, runTask } from "../tools/run.ts";

/** The suites, and the documentation examples of every module of the library. */
const EVERYTHING =
  "tests mod.ts cli.ts errors.ts mitthooks pg recovery webhooks sessions tokens testing";

await runTask(async (directory) => {
  console.log(await providePostgres(directory));
  const all = !Deno.args.some((argument) => /\.ts$|^\.?\/?tests\b/.test(argument));
  if (all) console.log("All tests take about ten minutes on two cores; name files to run some");
  const importMap = await importMapWithoutJsr(directory.path);
  const tests = startProgram(Deno.execPath(), {
    args: [
      "test",
      "-A",
      // Hides warnings about indirect dependencies.
      "--quiet",
      "--preload=tests/support/preload.ts",
      ...importMap === undefined ? [] : [`--import-map=${importMap}`],
      // DENO_JOBS files at once; each has its own databases.
      ...all ? ["--parallel", "--doc", ...EVERYTHING.split(" ")] : [],
      ...Deno.args,
    ],
    cwd: repository,
    // More than processors, since many tests wait.
    env: { DENO_JOBS: Deno.env.get("DENO_JOBS") ?? String(navigator.hardwareConcurrency + 1) },
    stdout: "inherit",
    stderr: "inherit",
  });
  const start = performance.now();
  const { code } = await tests.ended;
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(`Tests: ${code === 0 ? "passed" : "FAILED"} after ${minutes} min`);
  return code;
});

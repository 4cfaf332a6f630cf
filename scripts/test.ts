/**
 * `deno task test`: runs the tests against PostgreSQL.
 *
 * The server is the one in TEST_DATABASE_URL, where scratch databases are created and dropped, or a throwaway one from
 * the system's programs or an npm package (TEST_POSTGRES=system|npm forces one). Arguments go to `deno test`. Nothing
 * stays behind, however the run ends.
 *
 * @module
 */
import { importMapWithoutJsr } from "../tools/import_map.ts";
import { repository } from "../tools/paths.ts";
import { startProgram } from "../tools/program.ts";
import { providePostgres, runTask } from "../tools/run.ts";

/** The suites, and the examples in the documentation of every module that belongs to the library. */
const EVERYTHING =
  "--doc tests mod.ts cli.ts errors.ts mitthooks pg recovery webhooks sessions tokens testing"
    .split(
      " ",
    );

await runTask(async (directory) => {
  console.log(await providePostgres(directory));
  const all = !Deno.args.some((argument) => /\.ts$|^\.?\/?tests\b/.test(argument));
  if (all) console.log("All tests take ten minutes and more on two cores; name files to run some");
  const importMap = await importMapWithoutJsr(directory.path);
  const tests = startProgram(Deno.execPath(), {
    args: [
      "test",
      "-A",
      // Warnings about the dependencies of dependencies are nothing that a run of the tests is about.
      "--quiet",
      "--preload=tests/support/preload.ts",
      // A file per processor (or DENO_JOBS): each has databases of its own.
      ...all ? ["--parallel"] : [],
      ...importMap === undefined ? [] : [`--import-map=${importMap}`],
      ...all ? EVERYTHING : [],
      ...Deno.args,
    ],
    cwd: repository,
    stdout: "inherit",
    stderr: "inherit",
  });
  const start = performance.now();
  const { code } = await tests.ended;
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(`Tests: ${code === 0 ? "passed" : "FAILED"} after ${minutes} min`);
  return code;
});

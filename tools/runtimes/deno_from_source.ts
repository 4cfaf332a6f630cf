/** Deno, the newest one and Deno Deploy's older one: everything from source. */
import { importMapWithoutJsr } from "../import_map.ts";
import { runProgram } from "../program.ts";
import { repository } from "../paths.ts";
import { denoProgram } from "../npm/programs.ts";
import { runSteps, type Target } from "./target.ts";

const DEPLOY = "2.5.0";
const ENTRIES = "mod.ts cli.ts mitthooks recovery webhooks sessions tokens testing".split(" ")
  .map((path) => path.endsWith(".ts") ? path : `${path}/mod.ts`);
const PORTABLE = ["test", "tests/conformance_test.ts", "tests/encryption_test.ts"];

/** Parts of the repository that are not sources. */
const MADE = new Set([".git", ".cache", "node_modules", "npm", "coverage"]);

const denoTarget = (
  target: Omit<Target, "run">,
  exactVersion: string | undefined,
  ...tasks: (readonly string[])[]
): Target => ({
  ...target,
  async run(shared) {
    const { path, version } = await denoProgram(exactVersion);
    // Another Deno installed the repository's packages.
    const sources = await Deno.makeTempDir({ dir: shared.path() });
    const names = Array.from(Deno.readDirSync(repository), ({ name }) => name)
      .filter((name) => !MADE.has(name));
    await runProgram(repository, "cp", ["-R", ...names, sources]);
    const map = await importMapWithoutJsr(sources);
    const runDeno = (args: readonly string[]) =>
      runProgram(sources, path, args, {
        // The default of newer versions.
        DENO_TLS_CA_STORE: "mozilla,system",
        TEST_DATABASE_URL: Deno.env.get("TEST_SERVER_URL")!,
      });
    const commands = [
      ["check", ...map ? [`--import-map=${map}`] : [], ...ENTRIES],
      ...tasks.map((task) => ["task", ...task]),
    ];
    return await runSteps(
      `Deno ${version}, from source`,
      Object.fromEntries(commands.map((args) => [`deno ${args.join(" ")}`, () => runDeno(args)])),
    );
  },
});

export const denoTargets: readonly Target[] = [
  // In everyday runs, `deno task test` covers all of it.
  denoTarget({ name: "Deno", shows: "types; keys, stored form, webhooks" }, undefined, PORTABLE),
  denoTarget(
    { name: `Deno ${DEPLOY}`, shows: "types; keys, stored form, webhooks", everyday: true },
    DEPLOY,
    PORTABLE,
  ),
  denoTarget(
    { name: `Deno ${DEPLOY}, everything`, shows: "types; `deno task test` and the demo" },
    DEPLOY,
    ["demo"],
    ["test"],
  ),
];

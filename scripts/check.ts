/**
 * `deno task check [NAME…]`: runs all checks, or the named ones, and reports each result.
 *
 * To add a check, put it into the list below.
 */
import { mapBounded } from "../pg/internal/columns/map_bounded.ts";
import { type Check, commandCheck } from "../tools/checks/check.ts";
import { docLint } from "../tools/checks/doc_lint.ts";
import { manifests } from "../tools/checks/manifests.ts";
import { installation } from "../tools/checks/npm_package.ts";
import { portable } from "../tools/checks/portable.ts";
import { workflows } from "../tools/checks/workflows.ts";
import { importMapWithoutJsr } from "../tools/import_map.ts";
import { repository } from "../tools/paths.ts";
import { runTask } from "../tools/run.ts";

/** The other examples import the npm package; their tests install it. */
const TYPED =
  "bench cli examples/deno-deploy internal mitthooks pg recovery scripts sessions testing tests tokens tools " +
  "webhooks cli.ts errors.ts mod.ts";

const checks: readonly Check[] = [
  commandCheck("fmt", () => ["fmt", "--check"]),
  commandCheck("lint", () => ["lint"]),
  commandCheck("types", ({ importMap }) => [
    "check",
    "--quiet",
    ...importMap === undefined ? [] : [`--import-map=${importMap}`],
    ...TYPED.split(" "),
  ]),
  docLint,
  commandCheck("publish", () => ["publish", "--dry-run", "--allow-dirty"]),
  manifests,
  portable,
  workflows,
  installation,
];

const names = checks.map(({ name }) => name);
const unknown = Deno.args.find((name) => !names.includes(name));
if (unknown !== undefined) {
  console.error(`There is no check "${unknown}", only ${names.join(", ")}`);
  Deno.exit(2);
}

await runTask(async (directory) => {
  let [passed, failed] = [0, 0];
  const chosen = checks.filter(({ name }) => Deno.args.length === 0 || Deno.args.includes(name));
  const importMap = await importMapWithoutJsr(directory.path);
  const context = { root: repository, temporary: directory.path, importMap };
  await mapBounded(chosen, async (check) => {
    const findings = await check.run(context).catch((error) => error.message.split("\n"));
    console.log(`${findings.length === 0 ? "ok" : "FAILED"} ${check.name}`);
    for (const line of findings) console.log(`    ${line}`);
    findings.length > 0 ? failed++ : passed++;
  }, { limit: 2 });
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});

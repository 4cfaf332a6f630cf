/**
 * `deno task check [NAME…]`: runs all checks, or those named, and says of each whether it holds.
 *
 * To add one, put it into the list below.
 *
 * @module
 */
import { type Check, commandCheck } from "./checks/check.ts";
import { docLint } from "./checks/doc_lint.ts";
import { manifests } from "./checks/manifests.ts";
import { npmPackage } from "./checks/npm_package.ts";
import { portable } from "./checks/portable.ts";
import { workflows } from "./checks/workflows.ts";
import { GuardedDirectory } from "./lib/guarded_directory.ts";
import { importMapWithoutJsr } from "./lib/import_map.ts";
import { repository } from "./lib/paths.ts";

const checks: readonly Check[] = [
  commandCheck("fmt", () => ["fmt", "--check"]),
  commandCheck("lint", () => ["lint"]),
  commandCheck("types", ({ importMap }) => [
    "check",
    ...importMap === undefined ? [] : [`--import-map=${importMap}`],
    // The other examples import the npm package; their tests install it.
    ...[
      "cli",
      "examples/deno-deploy",
      "internal",
      "pg",
      "scripts",
      "testing",
      "tests",
      "tokens",
      "webhooks",
    ],
    ...["cli.ts", "errors.ts", "mod.ts"],
  ]),
  docLint,
  commandCheck("publish", () => ["publish", "--dry-run", "--allow-dirty"]),
  manifests,
  portable,
  workflows,
  npmPackage,
];

const unknown = Deno.args.find((name) => !checks.some((check) => check.name === name));
if (unknown !== undefined) {
  console.error(
    `There is no check "${unknown}", only ${checks.map(({ name }) => name).join(", ")}`,
  );
  Deno.exit(2);
}

let failed = 0;
{
  await using directory = new GuardedDirectory();
  const importMap = await importMapWithoutJsr(directory.path);
  const context = { root: repository, temporary: directory.path, importMap };
  for (const check of checks) {
    if (Deno.args.length > 0 && !Deno.args.includes(check.name)) continue;
    const findings = await check.run(context).catch((error) => String(error).split("\n"));
    console.log(`${findings.length === 0 ? "ok" : "FAILED"} ${check.name}`);
    for (const line of findings) console.log(`    ${line}`);
    if (findings.length > 0) failed++;
  }
}
Deno.exit(failed === 0 ? 0 : 1);

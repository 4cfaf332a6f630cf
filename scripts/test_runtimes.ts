/**
 * `deno task test:runtimes [--all] [NAME…]`: runs the suites with the packed tarball, on every
 * runtime, driver and line of Drizzle. Without `--all`, one target per class. Names select targets
 * by parts of their names.
 *
 * Downloads stay in `.cache/`. A complete `--all` updates the table in docs/runtimes.md.
 */
import { mapBounded } from "../pg/internal/columns/map_bounded.ts";
import { renewSection } from "../tools/marked_section.ts";
import { join, repository } from "../tools/paths.ts";
import { providePostgres, runTask } from "../tools/run.ts";
import { Shared } from "../tools/runtimes/shared.ts";
import {
  messageOf,
  type Outcome,
  type Target,
  UnavailableError,
} from "../tools/runtimes/target.ts";
import { targets } from "../tools/runtimes/targets.ts";

const all = Deno.args.includes("--all");
const names = Deno.args.filter((argument) => argument !== "--all");
const isChosen = ({ name, everyday = false }: Target) =>
  names.length === 0 ? all || everyday : names.some((part) => name.includes(part));
const chosen = targets.filter(isChosen);
if (chosen.length === 0) {
  console.error(`There is no such target, only ${targets.map(({ name }) => name).join(", ")}`);
  Deno.exit(2);
}

await runTask(async (directory) => {
  console.log(await providePostgres(directory));
  const shared = new Shared(directory, !all && names.length === 0);
  // More than processors, since each waits for its database.
  const outcomes = await mapBounded(chosen, (target) => report(target, shared), { limit: 3 });
  if (all && names.length === 0) {
    await renewSection(join(repository, "docs/runtimes.md"), "runtimes", tableOf(outcomes));
  }
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const failed = outcomes.reduce((sum, { failures }) => sum + failures.length, 0);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
});

async function report(target: Target, shared: Shared): Promise<Outcome> {
  const start = performance.now();
  const outcome = await target.run(shared).catch((error): Outcome => {
    const text = messageOf(error);
    return error instanceof UnavailableError
      ? { versions: `not run: ${text}`, passed: 0, failures: [] }
      : { versions: "?", passed: 0, failures: [text] };
  });
  const { failures, versions, passed } = outcome;
  const verdict = failures.length === 0 ? "ok" : "FAILED";
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const counts = `${passed} passed, ${failures.length} failed, ${seconds} s`;
  const lines = [`${verdict} ${target.name} (${versions}): ${counts}`, ...failures];
  console.log(lines.join("\n").replaceAll("\n", "\n    "));
  return outcome;
}

function tableOf(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ versions, passed, failures }, index) => [
    chosen[index]!.name,
    versions,
    chosen[index]!.shows,
    failures.length === 0 ? passed : `${passed}, **${failures.length} failed**`,
  ]);
  return [["", "versions", "what runs", "passed"], ["---", "---", "---", "---"], ...rows]
    .map((columns) => `| ${columns.join(" | ")} |`).join("\n");
}

/**
 * `deno task test:runtimes [--all] [NAME…]`: runs the suites on the packed tarball, on every runtime, driver
 * and line of Drizzle. Without `--all`, one target of each class. Names choose targets, by parts of their names.
 *
 * Downloads stay in `.cache/`. A complete `--all` renews the table in docs/runtimes.md.
 *
 * @module
 */
import { beginGuardedRun } from "./lib/guarded_run.ts";
import { renewSection } from "./lib/marked_section.ts";
import { join, repository } from "./lib/paths.ts";
import { findPostgres } from "./lib/postgres_binaries.ts";
import { startServer } from "./lib/postgres_server.ts";
import { endBundler } from "./runtimes/bundle.ts";
import { Shared } from "./runtimes/shared.ts";
import { messageOf, type Outcome, type Target, UnavailableError } from "./runtimes/target.ts";
import { targets } from "./runtimes/targets.ts";

/** How many targets run at the same time. */
const AT_ONCE = 2;

const all = Deno.args.includes("--all");
const names = Deno.args.filter((argument) => argument !== "--all");
const isChosen = ({ name, everyday = false }: Target) =>
  names.length === 0 ? all || everyday : names.some((part) => name.includes(part));
const chosen = targets.filter(isChosen);
if (chosen.length === 0) {
  console.error(`There is no such target, only ${targets.map(({ name }) => name).join(", ")}`);
  Deno.exit(2);
}

const { directory, externalUrl, prefix, finish } = beginGuardedRun();
Deno.env.set("TEST_DATABASE_PREFIX", prefix);
await finish(runTargets, endBundler);

async function runTargets(): Promise<number> {
  if (externalUrl === undefined) {
    const binaries = await findPostgres(directory);
    const server = await startServer({ directory, binaries });
    Deno.env.set("TEST_SERVER_URL", server.url);
    console.log(`${binaries.version} from ${binaries.origin}`);
  }
  const shared = new Shared(directory, !all && names.length === 0);
  const { manifest, compiler } = await shared.package();
  console.log(`${manifest.name}@${manifest.version}, compiled by ${compiler}`);

  const outcomes = new Map<Target, Outcome>();
  await eachOf(chosen, async (target) => {
    outcomes.set(target, await report(target.name, () => target.run(shared)));
  });
  await eachOf(chosen, async (target) => {
    const { versions, passed, failures } = outcomes.get(target)!;
    if (target.read === undefined || passed === 0) return;
    const read = await report(`${target.name}, what all wrote`, () => target.read!(shared));
    outcomes.set(target, {
      versions,
      passed: passed + read.passed,
      failures: [...failures, ...read.failures],
    });
  });

  if (all && names.length === 0) {
    const rows = chosen.map((target) => [target, outcomes.get(target)!] as const);
    await renewSection(join(repository, "docs/runtimes.md"), "runtimes", tableOf(rows));
  }
  const passed = outcomes.values().reduce((sum, outcome) => sum + outcome.passed, 0);
  const failed = outcomes.values().reduce((sum, { failures }) => sum + failures.length, 0);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Does something with each target, with some at the same time. */
async function eachOf(items: readonly Target[], work: (item: Target) => Promise<void>) {
  const pending = items.values();
  const worker = async () => {
    for (const item of pending) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Says what came of a step and how long it took. */
async function report(name: string, step: () => Promise<Outcome>): Promise<Outcome> {
  const start = performance.now();
  const outcome = await step().catch((error): Outcome => {
    const text = messageOf(error);
    return error instanceof UnavailableError
      ? { versions: `not run: ${text}`, passed: 0, failures: [] }
      : { versions: "?", passed: 0, failures: [text] };
  });
  const { failures, versions, passed } = outcome;
  const verdict = failures.length === 0 ? "ok" : "FAILED";
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const counts = `${passed} passed, ${failures.length} failed, ${seconds} s`;
  const lines = [`${verdict} ${name} (${versions}): ${counts}`, ...failures];
  console.log(lines.join("\n").replaceAll("\n", "\n    "));
  return outcome;
}

function tableOf(results: readonly (readonly [Target, Outcome])[]): string {
  const rows = results.map(([{ name, shows }, { versions, passed, failures }]) => [
    name,
    versions,
    shows,
    failures.length === 0 ? passed : `${passed}, **${failures.length} failed**`,
  ]);
  return [["", "versions", "what runs", "passed"], ["---", "---", "---", "---"], ...rows]
    .map((columns) => `| ${columns.join(" | ")} |`).join("\n");
}

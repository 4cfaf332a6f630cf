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
const everyday = !all && names.length === 0;
const chosen = targets.filter((target) =>
  names.length > 0 ? names.some((part) => target.name.includes(part)) : all || target.everyday
);
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
  const shared = new Shared(directory, everyday);
  const { manifest, compiler } = await shared.package();
  console.log(`${manifest.name}@${manifest.version}, compiled by ${compiler}`);

  const ran = await atOnce(
    chosen,
    async (target) => ({ target, outcome: await timed(target.name, () => target.run(shared)) }),
  );
  const written = Object.keys((await shared.interop()).values).length;
  const results = await atOnce(ran, async ({ target, outcome }) => {
    if (target.read === undefined || outcome.passed === 0) return { target, ...outcome };
    const read = await timed(`${target.name} reads ${written}`, () => target.read!(shared));
    return {
      target,
      versions: outcome.versions,
      passed: outcome.passed + read.passed,
      failures: [...outcome.failures, ...read.failures],
    };
  });

  if (all && names.length === 0) await renewTable(tableOf(results));
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, { failures }) => sum + failures.length, 0);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Does something with each, some at the same time. The results have the order of the items. */
async function atOnce<T, TResult>(
  items: readonly T[],
  work: (item: T) => Promise<TResult>,
): Promise<TResult[]> {
  const results: TResult[] = [];
  const pending = items.entries();
  const worker = async () => {
    for (const [index, item] of pending) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

/** Says what came of a step and how long it took. */
async function timed(name: string, step: () => Promise<Outcome>): Promise<Outcome> {
  const start = performance.now();
  const outcome = await step().catch((error) => {
    const text = messageOf(error);
    return error instanceof UnavailableError
      ? { versions: `not run: ${text}`, passed: 0, failures: [] }
      : { versions: "?", passed: 0, failures: [text] };
  });
  const { failures, versions, passed } = outcome;
  const verdict = failures.length === 0 ? "ok" : "FAILED";
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const title = versions === "" ? name : `${name} (${versions})`;
  console.log(
    [`${verdict} ${title}: ${passed} passed, ${failures.length} failed, ${seconds} s`, ...failures]
      .join("\n").replaceAll("\n", "\n    "),
  );
  return outcome;
}

function tableOf(results: readonly (Outcome & { target: Target })[]): string {
  const rows = results.map(({ target, versions, passed, failures }) => [
    target.name,
    versions,
    target.shows,
    failures.length === 0 ? passed : `${passed}, **${failures.length} failed**`,
  ]);
  return [["", "versions", "what runs", "passed"], ["---", "---", "---", "---"], ...rows]
    .map((columns) => `| ${columns.join(" | ")} |`).join("\n");
}

async function renewTable(table: string): Promise<void> {
  const page = join(repository, "docs/runtimes.md");
  if (!await renewSection(page, "runtimes", table)) console.log(table);
}

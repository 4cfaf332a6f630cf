/**
 * `deno task bench`: compares this library with its predecessor, and with a bare cipher and
 * hand-written SQL. They take turns in short slices, each in a separate process; the median of the
 * ratios of all rounds counts. Figures are meaningful relative to each other, on an idle machine.
 */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { SimulatedMstudio } from "../testing/mod.ts";
import { NPM_NAME } from "../tools/npm/manifest.ts";
import { npmPackage } from "../tools/npm/package.ts";
import { bunProgram, denoProgram, nodeProgram } from "../tools/npm/programs.ts";
import { createProject, installedVersion } from "../tools/npm/project.ts";
import { join, repository } from "../tools/paths.ts";
import { query } from "../tools/postgres/databases.ts";
import { providePostgres, runTask } from "../tools/run.ts";
import { bundle } from "../tools/runtimes/bundle.ts";
import { ORIGINAL } from "../tools/runtimes/original_application.ts";
import { Shared } from "../tools/runtimes/shared.ts";
import { EXTENSION_ID, instanceOf, type Job, MANY } from "./contestants/common.ts";
import { describe, type Measured, writeDocuments } from "./documents.ts";
import { type Row, ROWS } from "./rows.ts";
import { tables } from "./tables.ts";

const RUNTIMES = {
  deno: () => denoProgram(),
  node20: () => nodeProgram(20),
  node24: () => nodeProgram(24),
  bun: () => bunProgram(),
};
const NAMES = [...Object.keys(RUNTIMES), ...ROWS.map(({ name }) => name)];
const names = Deno.args.filter((name) => name !== "--write");
const write = Deno.args.includes("--write");
const [rounds, sliceMs] = [5, 400];
if (names.some((name) => !NAMES.includes(name)) || (write && names.length > 0)) {
  console.log(`deno task bench [NAME…] [--write]

  NAME     one of ${NAMES.join(", ")}; all of them if left out
  --write  renews docs/benchmarks.md and README.md; only after all of it`);
  Deno.exit(names.includes("--help") ? 0 : 2);
}
const chosen = <T>(all: readonly (readonly [string, T])[]) =>
  all.some(([name]) => names.includes(name)) ? all.filter(([name]) => names.includes(name)) : all;

await runTask(async (directory) => {
  const shared = new Shared(directory, true);
  console.log(await providePostgres(directory));
  const [pg, tinybench, drizzle] = await Promise.all(
    ["pg", "tinybench", "drizzle-orm"].map((name) => installedVersion(repository, name)),
  ) as [string, string, string];
  const ours = { "drizzle-orm": drizzle, [NPM_NAME]: `file:${(await npmPackage()).tarball}` };
  for (const [name, packages] of Object.entries({ ours, original: ORIGINAL, floor: ours })) {
    await createProject(shared.path(name), { ...packages, pg, tinybench });
    const entries = { main: join(repository, `bench/contestants/${name}.ts`) };
    await bundle({ entries, outDir: shared.path(name) });
  }
  // The first one is emptied for each webhook.
  const urls = [await shared.database(), await shared.database()] as const;
  for (const url of urls) await query(url, await tables(100_000));
  const signed = await signRequests();
  const result: Record<string, Measured[]> = {};
  for (const [, program] of chosen(Object.entries(RUNTIMES))) {
    const { name, version, path } = await program();
    const command = name === "Deno" ? [path, "run", "-A", "--quiet"] : [path];
    console.log(`${name} ${version}`);
    const measured: Measured[] = result[`${name} ${version}`] = [];
    for (const [name, row] of chosen(ROWS.map((row) => [row.name, row]))) {
      const job = { ...signed, url: urls[/webhook|coldStart/.test(name) ? 0 : 1] };
      const start = (program: string) => startContestant(command, shared.path(program), job);
      measured.push({ ...row, times: await measure(row, start) });
      console.log(describe(measured.at(-1)!));
    }
  }
  const [cores, date] = [cpus(), new Date().toISOString().slice(0, 10)];
  const note = `Medians of ${rounds} rounds on ${cores.length} cores of ${cores[0]?.model}, ` +
    `PostgreSQL, node-postgres ${pg}, drizzle-orm ${drizzle}, ${date}.`;
  if (write) await writeDocuments(result, note);
  return 0;
});

async function signRequests() {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: () => new Response(),
  });
  const requests = Array.from({ length: MANY }, async (_, number) => {
    const { extensionInstanceId: id, contextId, ...fields } = instanceOf(number);
    const event = { ...fields, id, context: { id: contextId } };
    const request = await mstudio.request(mstudio.event("ExtensionAddedToContext", event));
    const { url, method, headers } = request;
    return [url, {
      method,
      headers: Object.fromEntries(headers),
      body: await request.text(),
    }] as const;
  });
  return { publicKey: mstudio.publicKey, requests: await Promise.all(requests) };
}

/** Starts a contestant, which answers each request with a number. */
function startContestant([command, ...args]: string[], cwd: string, job: Job) {
  const { stdin, stdout } = spawn(command!, [...args, "main.js"], {
    cwd,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const tell = (what: unknown) => stdin.write(`${JSON.stringify(what)}\n`);
  tell(job);
  return {
    end: () => stdin.end(),
    async ask(work: string, ms: number) {
      tell([work, ms]);
      const { value } = await lines.next();
      if (value === undefined) throw new Error(`Running the contestant in ${cwd}: it ended`);
      return Number(value);
    },
  };
}

/** Lets contestants take turns after a long first round, in which the engines compile them. */
async function measure(
  { name, programs }: Row,
  start: (program: string) => ReturnType<typeof startContestant>,
): Promise<Record<string, number[]>> {
  const isCold = name === "coldStart";
  const times = Object.fromEntries(Object.keys(programs).map((title) => [title, [] as number[]]));
  const contestants = Object.entries(programs)
    .map(([title, program]) => ({ title, program, running: isCold ? undefined : start(program) }));
  for (let round = -1; round < rounds; round++) {
    for (const { title, program, running } of contestants.reverse()) {
      const begin = performance.now();
      const { ask, end } = running ?? start(program);
      const ms = await ask(name, isCold ? 0 : round < 0 ? 10 * sliceMs : sliceMs);
      if (round >= 0) times[title]!.push(isCold ? performance.now() - begin : ms);
      if (isCold) end();
    }
  }
  for (const { running } of contestants) running?.end();
  return times;
}

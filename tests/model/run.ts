/** A run: a sender, two servers, what happens to them, and whether what is stored in the end is what has to be. */

import postgres from "postgres";
import { fromFileUrl } from "../../tools/paths.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { startProgram } from "../../tools/program.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { ddl, type ExtensionJob, IS_OURS } from "./extension.ts";
import { ATTEMPT_TIMEOUT_MS, InstanceRun, pause, randomOf } from "./instance.ts";
import { compare } from "./model.ts";

/** How many instances have something to tell at the same time. */
const AT_ONCE = 16;
/** After so many deliveries, on average, something happens to a server or to its connections. */
const DISTURBED_EVERY = 30;

/** What may happen to servers and their connections; what happens to deliveries, the instances draw themselves. */
const FAULTS = ["kills", "cuts", "stalls"] as const;

export interface RunOptions {
  /** How many attempts are answered at least, unless the variable DELIVERIES says another number. */
  readonly deliveries: number;
  /** Whether the sender stamps each attempt anew. Default: `true`. */
  readonly restamp?: boolean;
  /** URL of an empty database, for servers and for who reads it. */
  readonly databaseUrl: string;
  /** The servers' URL of the database, if it is another. */
  readonly serversUrl?: string;
  /** Happens when half of the deliveries are made, and resolves to the URL to read at the end. */
  readonly halfTime?: () => Promise<string>;
}

/** A process of the extension, which is killed and started again, also when its driver ends it. */
class Server implements AsyncDisposable {
  /** What it printed when it ended by a fault of ours. */
  readonly failures: string[] = [];
  url: string | undefined;
  #program: ReturnType<typeof startProgram> | undefined;

  constructor(readonly job: ExtensionJob) {}

  async start(): Promise<void> {
    const program = this.#program = startProgram(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-check",
        fromFileUrl(import.meta.resolve("./extension.ts")),
      ],
      env: { NO_COLOR: "1", JOB: JSON.stringify(this.job) },
    });
    const port = () => /^Listening on (\d+)\n$/.exec(program.printed.stdout)?.[1];
    await poll(() => port() !== undefined || !program.isRunning(), { timeoutMs: 120_000 });
    if (this.#program !== program) return; // it was killed
    if (!port()) throw new Error(`Starting the extension: it ended\n${program.printed.stderr}`);
    this.url = `http://127.0.0.1:${port()}`;
    program.ended.then(async ({ stderr }) => {
      if (this.#program !== program) return;
      if (IS_OURS.test(stderr)) this.failures.push(`a server ended: ${stderr}`);
      this.url = undefined;
      await this.start();
    }).catch((error) => this.failures.push(String(error)));
  }

  /** Holds it up for a while; what it was about to do comes late. */
  async stall(ms: number): Promise<void> {
    const program = this.#program;
    program?.kill("SIGSTOP");
    await pause(ms);
    program?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const program = this.#program;
    this.#program = this.url = undefined;
    program?.kill("SIGKILL");
    await program?.ended;
  }
}

async function query<T>(url: string, use: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return await use(sql).finally(() => sql.end());
}

/**
 * Runs it. Resolves to whatever is stored and should not be, or the other way round. The variable SEED repeats a run,
 * FAULTS=kills,cuts chooses what happens.
 */
export async function differencesOf(options: RunOptions): Promise<string[]> {
  const { databaseUrl, restamp = true, halfTime } = options;
  const deliveries = Number(Deno.env.get("DELIVERIES") ?? options.deliveries);
  const seed = Number(Deno.env.get("SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  const asked = Deno.env.get("FAULTS")?.split(",");
  const faults = FAULTS.filter((name) => asked?.includes(name) ?? true);
  await query(databaseUrl, (sql) => sql.unsafe(ddl));
  await using stack = new AsyncDisposableStack();
  const servers: Server[] = [];
  let turn = 0;
  const mstudio = stack.use(
    await SimulatedMstudio.create({
      extensionId: "model",
      target(request) {
        const running = servers.flatMap(({ url }) => url ?? []);
        return fetch(new Request(`${running[turn++ % running.length]}/webhooks`, request));
      },
      attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      maxAttempts: Infinity,
      backoff: { initialMs: 50, maxMs: 2_000 },
      restamp,
    }),
  );
  const api = stack.use(Deno.serve({ port: 0, onListen() {} }, mstudio.api));
  const job = {
    databaseUrl: options.serversUrl ?? databaseUrl,
    apiUrl: `http://127.0.0.1:${api.addr.port}`,
  };
  for (let index = 0; index < 2; index++) servers.push(stack.use(new Server(job)));
  await Promise.all(servers.map((server) => server.start()));

  let readUrl = databaseUrl;
  const { between, chance, pick } = randomOf(`${seed} disturbances`);
  const happened: Record<string, number> = {};
  const count = (what: string) => happened[what] = (happened[what] ?? 0) + 1;
  const answered = () => mstudio.deliveries.filter(({ responseCode }) => responseCode).length;
  const disturb = {
    async kills() {
      const server = pick(servers);
      await server[Symbol.asyncDispose]();
      await server.start();
    },
    async cuts() {
      await query(
        readUrl,
        (sql) =>
          sql`select pg_terminate_backend(pid) from pg_stat_activity where random() < 0.5
          and datname = current_database() and pid <> pg_backend_pid()`,
      );
    },
    stalls: () => pick(servers).stall(between(100, 2 * ATTEMPT_TIMEOUT_MS)),
  };
  let ended = false;
  async function disturbUntilEnd(): Promise<void> {
    // Some for its start, and some for each delivery.
    const limit = Date.now() + 120_000 + 1_000 * deliveries;
    for (let next = 0, half = deliveries / 2; !ended; await pause(20)) {
      if (Date.now() > limit) throw new Error(`Running seed ${seed}: it does not come to an end`);
      if (answered() >= half) {
        half = Infinity;
        readUrl = await halfTime?.() ?? readUrl;
      }
      if (answered() < next) continue;
      next = answered() + between(1, 2 * DISTURBED_EVERY);
      if (chance(0.1)) await mstudio.rotateSigningKey();
      const fault = pick(faults);
      await disturb[fault]();
      count(fault);
    }
  }
  const runs: InstanceRun[] = [];
  const work = async () => {
    while (answered() < deliveries) {
      const next = new InstanceRun(mstudio, `instance-${runs.length}`, seed, restamp);
      runs.push(next);
      await next.run();
    }
  };
  const working = Promise.all(Array.from({ length: AT_ONCE }, work)).finally(() => ended = true);
  await Promise.all([working, disturbUntilEnd()]);
  await mstudio.idle();
  for (const server of servers) await server[Symbol.asyncDispose]();
  for (const { responseCode, failure } of mstudio.deliveries) count(responseCode ?? failure ?? "?");
  const told = new Map(runs.map((instance) => [instance.id, instance.told()]));
  const differences = servers.flatMap(({ failures }) => failures);
  await query(readUrl, async (sql) => {
    // What servers left running may end; then nobody changes anything.
    const others = () =>
      sql`select 1 from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and backend_type = 'client backend'`;
    await poll(async () => (await others()).length === 0, { timeoutMs: 60_000 });
    differences.push(...await compare(sql, told));
  });
  if (differences.length > 0) differences.unshift(`SEED=${seed}: ${JSON.stringify(happened)}`);
  return differences;
}

/** A run: a sender, two servers, their faults, and a comparison with the expected rows. */

import postgres from "postgres";
import { fromFileUrl } from "../../tools/paths.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { startProgram } from "../../tools/program.ts";
import { SimulatedMstudio } from "../../testing/mod.ts";
import { ddl, type ExtensionJob, IS_OURS } from "./extension.ts";
import { ATTEMPT_TIMEOUT_MS, InstanceRun, pause, randomOf } from "./instance.ts";
import { compare } from "./model.ts";

/** How many instances have events at the same time. */
const AT_ONCE = 16;
/** Average number of deliveries between faults of a server or its connections. */
const DISTURBED_EVERY = 30;

/** Faults of servers and connections; instances draw those of deliveries. */
const FAULTS = ["kills", "cuts", "stalls"] as const;

export interface RunOptions {
  /** Minimum number of answered attempts; the variable DELIVERIES overrides it. */
  readonly deliveries: number;
  /** Whether the sender stamps each attempt anew. Default: `true`. */
  readonly restamp?: boolean;
  /** URL of an empty database, for the servers and for reading. */
  readonly databaseUrl: string;
  /** The servers' URL of the database, if it differs. */
  readonly serversUrl?: string;
  /** Runs after half of the deliveries, and resolves to the URL to read at the end. */
  readonly halfTime?: () => Promise<string>;
}

/** A process of the extension, restarted after it was killed or its driver ended it. */
class Server implements AsyncDisposable {
  /** Its output when it ended by our fault. */
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

  /** Suspends it for a while, which delays its work. */
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
 * Runs it. Resolves to the differences from the expected rows. The variable SEED repeats a run,
 * FAULTS=kills,cuts selects the faults.
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
    // Some for its start, and some per delivery.
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
    // Waits for work that servers left running.
    const others = () =>
      sql`select 1 from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and backend_type = 'client backend'`;
    await poll(async () => (await others()).length === 0, { timeoutMs: 60_000 });
    differences.push(...await compare(sql, told));
  });
  if (differences.length > 0) differences.unshift(`SEED=${seed}: ${JSON.stringify(happened)}`);
  return differences;
}

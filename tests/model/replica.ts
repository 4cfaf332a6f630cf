/** A process of the extension under test, which is killed and started again. */

import { fromFileUrl } from "../../tools/paths.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { startProgram } from "../../tools/program.ts";

const SERVER = fromFileUrl(new URL("./server.ts", import.meta.url));

/**
 * How a server ends that postgres.js takes down with it: it writes, in a task that it put off, to a connection that was
 * closed in between (porsager/postgres, issue 1208), and nobody can catch that. Whatever runs a server starts it again
 * then, and so does a replica.
 */
const ENDED_BY_DRIVER =
  /^error: Uncaught[^]* at [^\n]*nextWrite \([^\n]*\/postgres\/src\/connection\.js/;

export class Replica implements AsyncDisposable {
  /** What it printed when it ended by itself, and not by the driver's fault. */
  readonly failures: string[] = [];
  endpoint: Deno.ConnectOptions | undefined;
  readonly #env: Record<string, string>;
  readonly #onCrash: () => void;
  #program: ReturnType<typeof startProgram> | undefined;

  /** @param onCrash Is called when the driver ended it, and it is started again. */
  constructor(env: Record<string, string>, onCrash: () => void) {
    this.#env = env;
    this.#onCrash = onCrash;
  }

  /** Starts it and waits until it listens. */
  async start(): Promise<void> {
    const program = this.#program = startProgram(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", SERVER],
      env: { NO_COLOR: "1", ...this.#env },
      // Held open: the server ends with this program.
      stdin: "piped",
    });
    const { printed, isRunning } = program;
    const port = () => /^Listening on (\d+)\n$/.exec(printed.stdout)?.[1];
    await poll(() => port() !== undefined || !isRunning(), { timeoutMs: 120_000, intervalMs: 20 });
    if (this.#program !== program) return; // it was killed
    if (port() === undefined) throw new Error(`Starting a replica: it ended\n${printed.stderr}`);
    this.endpoint = { hostname: "127.0.0.1", port: Number(port()) };
    this.#startAgain(program).catch((error) => this.failures.push(String(error)));
  }

  async kill(): Promise<void> {
    const program = this.#program;
    this.#program = this.endpoint = undefined;
    program?.kill("SIGKILL");
    await program?.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #startAgain(program: ReturnType<typeof startProgram>): Promise<void> {
    const { stderr } = await program.ended;
    if (this.#program !== program) return;
    if (ENDED_BY_DRIVER.test(stderr)) this.#onCrash();
    else this.failures.push(stderr);
    this.endpoint = undefined;
    await this.start();
  }
}

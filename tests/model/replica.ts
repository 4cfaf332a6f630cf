/** A process of the extension under test, which is killed and started again. */

import { fromFileUrl } from "../../scripts/lib/paths.ts";

/** Longest time to wait for a start, in milliseconds; it takes less than one second on a machine with nothing else to do. */
const START_LIMIT_MS = 120_000;

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
  /** Where it listens, if it does. */
  endpoint: Deno.ConnectOptions | undefined;
  readonly #env: Record<string, string>;
  readonly #onCrash: () => void;
  #process: Deno.ChildProcess | undefined;

  /**
   * @param env The variables that server.ts reads.
   * @param onCrash Is called when the driver ended it, and it is started again.
   */
  constructor(env: Record<string, string>, onCrash: () => void) {
    this.#env = env;
    this.#onCrash = onCrash;
  }

  /** Starts it and waits until it listens. */
  async start(): Promise<void> {
    const server = fromFileUrl(new URL("./server.ts", import.meta.url));
    const process = this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", server],
      env: { NO_COLOR: "1", ...this.#env },
      // Held open: the server ends with this program.
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const printed = new Response(process.stderr).text();
    const limit = setTimeout(() => process.kill("SIGKILL"), START_LIMIT_MS);
    const { value } = await process.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    clearTimeout(limit);
    if (this.#process !== process) return; // it was killed
    const port = /^Listening on (\d+)\n$/.exec(value ?? "")?.[1];
    if (port === undefined) {
      throw new Error(`Starting a replica: it ended, or took too long\n${await printed}`);
    }
    this.endpoint = { hostname: "127.0.0.1", port: Number(port) };
    this.#startAgain(process, printed).catch((error) => this.failures.push(String(error)));
  }

  /** Kills it, whatever it is doing. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = this.endpoint = undefined;
    try {
      process?.kill("SIGKILL");
    } catch { /* it has ended */ }
    await process?.status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  /** Once it ends by itself. */
  async #startAgain(process: Deno.ChildProcess, printed: Promise<string>): Promise<void> {
    await process.status;
    const output = await printed;
    if (this.#process !== process) return;
    if (ENDED_BY_DRIVER.test(output)) this.#onCrash();
    else this.failures.push(output);
    this.endpoint = undefined;
    await this.start();
  }
}

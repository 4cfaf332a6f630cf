/**
 * A contestant's process, from outside.
 *
 * @module
 */
import type { GuardedDirectory } from "../../tools/guarded_directory.ts";
import type { ContestantJob, Slice, SliceAnswer } from "./contestants/serve.ts";
import type { Command } from "./runtimes.ts";

/** No slice takes this long unless it hangs, in milliseconds. */
const SLICE_LIMIT_MS = 120_000;

/** What a process printed to its error output is kept up to this length. */
const KEPT_CHARACTERS = 2_000;

/** Starts a process that gets a job in its environment. */
export function startProcess(
  directory: GuardedDirectory,
  { command, args, cwd }: Command,
  job: unknown,
): Deno.ChildProcess {
  return directory.spawn(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", BENCH_JOB: JSON.stringify(job) },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}

/** The last of what a process printed to its error output. */
export async function lastOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let text = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    text = (text + part).slice(-KEPT_CHARACTERS);
  }
  return text.trim();
}

/** Lines of a stream. */
export function linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): ReadableStreamDefaultReader<string> {
  let rest = "";
  return stream.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TransformStream<string, string>({
      transform(text, controller) {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
    }),
  ).getReader();
}

/** Reads a line, but does not wait for ever. */
export async function readLine(
  lines: ReadableStreamDefaultReader<string>,
  limitMs: number,
): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer after ${limitMs / 1_000} s`)), limitMs);
  });
  try {
    return (await Promise.race([lines.read(), limit])).value;
  } finally {
    clearTimeout(timer);
  }
}

/** A contestant that does slice after slice. */
export class ContestantProcess {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #errors: Promise<string>;

  constructor(directory: GuardedDirectory, command: Command, job: ContestantJob) {
    this.#child = startProcess(directory, command, job);
    this.#input = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
    this.#errors = lastOf(this.#child.stderr);
  }

  /**
   * Has a slice done.
   *
   * @returns The time it took, in milliseconds.
   * @throws {Error} It was not done, or not rightly.
   */
  async slice(slice: Slice): Promise<number> {
    // A process that has ended takes no input; what it said says more than the broken pipe.
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(slice)}\n`))
      .catch(() => {});
    const line = await readLine(this.#lines, SLICE_LIMIT_MS);
    if (line === undefined) throw new Error(`the process ended\n${await this.#errors}`);
    const answer: SliceAnswer = JSON.parse(line);
    if ("error" in answer) throw new Error(answer.error);
    return answer.ms;
  }

  /** Ends the process. */
  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#child.status;
    clearTimeout(timer);
    await this.#lines.cancel();
    await this.#errors;
  }
}

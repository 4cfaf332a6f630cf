/**
 * Runs a program on a pseudo-terminal, as in a person's terminal window. `script` makes it, which Debian, Ubuntu and
 * Red Hat always have (util-linux).
 *
 * @module
 */

/** A program on a terminal of its own. */
export class TerminalProgram implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  /** What is on the terminal so far, control characters included. */
  output = "";

  /**
   * Starts the program.
   *
   * @param options `args` and `env` as for `Deno.Command`; `columns`: the terminal's width.
   */
  constructor(
    command: string,
    { args, env, columns = 100 }: { args: string[]; env: Record<string, string>; columns?: number },
  ) {
    const words = [command, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    this.#child = new Deno.Command("script", {
      // Quiet, flushed, with the program's exit status, and without a typescript.
      args: ["-qfec", `stty rows 24 cols ${columns} && exec ${words.join(" ")}`, "/dev/null"],
      env: { ...env, TERM: "xterm-256color", SHELL: "/bin/sh" },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.output += text;
    }
  }

  /** The exit status, when the program has ended and all that it printed is in `output`. */
  async status(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // The terminal hangs up, which ends the program.
      this.#child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await this.status();
    await this.#input.close().catch(() => {});
  }
}

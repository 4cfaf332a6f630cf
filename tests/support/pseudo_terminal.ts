/**
 * Runs a program on a pseudo-terminal, as in a person's terminal window.
 *
 * The terminal is made by the C library's `openpty`, through Deno's foreign function interface: nothing
 * has to be installed for it on Linux or macOS.
 *
 * @module
 */

const symbols = {
  openpty: { parameters: ["buffer", "buffer", "buffer", "pointer", "buffer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** Where the function is: glibc since 2.34, musl, older glibc, macOS. */
const LIBRARIES = [
  "libc.so.6",
  `libc.musl-${Deno.build.arch}.so.1`,
  "libutil.so.1",
  "/usr/lib/libSystem.B.dylib",
];

function openLibrary(): Deno.DynamicLibrary<typeof symbols> {
  const errors: unknown[] = [];
  for (const name of LIBRARIES) {
    try {
      return Deno.dlopen(name, symbols);
    } catch (error) {
      errors.push(error);
    }
  }
  throw new AggregateError(errors, "Opening a pseudo-terminal: no C library with openpty");
}

/** A program on a terminal of its own. */
export class TerminalProgram implements AsyncDisposable {
  readonly #library = openLibrary();
  readonly #master: number;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  /** What is on the terminal so far, control characters included. */
  output = "";

  /**
   * Starts the program.
   *
   * @param command Its path.
   * @param options `args`, `env` and `cwd` as for `Deno.Command`; `columns`: the terminal's width.
   */
  constructor(
    command: string,
    options: { args: string[]; env: Record<string, string>; cwd?: string; columns?: number },
  ) {
    const { args, env, columns = 100, ...rest } = options;
    const master = new Int32Array(1);
    const slave = new Int32Array(1);
    const name = new Uint8Array(128);
    // struct winsize: rows, columns, and two that nobody uses.
    const size = new Uint16Array([24, columns, 0, 0]);
    const { openpty, close } = this.#library.symbols;
    if (openpty(master, slave, name, null, size) !== 0) {
      throw new Error("Opening a pseudo-terminal: openpty failed");
    }
    this.#master = master[0]!;
    const path = new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
    // In a session of its own, the first terminal that the shell opens becomes the controlling one, so that
    // Ctrl-C works.
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", `exec "$@" <"$TERMINAL" >"$TERMINAL" 2>&1`, "sh", command, ...args],
      env: { ...env, TERMINAL: path, TERM: "xterm-256color" },
      detached: true,
      stdin: "null",
      ...rest,
    }).spawn();
    // Once nobody has the slave open any more, reading ends.
    this.#child.status.then(() => close(slave[0]!));
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(4096);
    while (true) {
      const length = Number(await this.#library.symbols.read(this.#master, buffer, 4096n));
      if (length <= 0) return;
      this.output += decoder.decode(buffer.subarray(0, length), { stream: true });
    }
  }

  /** Types text. */
  type(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#library.symbols.write(this.#master, bytes, BigInt(bytes.length));
  }

  /** The exit status, when the program has ended and all that it printed is in `output`. */
  async status(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await this.status();
    this.#library.symbols.close(this.#master);
    this.#library.close();
  }
}

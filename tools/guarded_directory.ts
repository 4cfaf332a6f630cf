/**
 * A temporary directory, and processes, that do not outlive the program.
 *
 * On SIGKILL no program can clean up after itself. So a small shell script (guard.sh) in a session of its own waits
 * for this one to be gone, ends the processes and removes the directory. A regular end takes the same path.
 *
 * @module
 */
import { dirname, fromFileUrl, join, resolve } from "./paths.ts";

/** A temporary directory that is removed, and whose processes end, with this program. */
export class GuardedDirectory implements AsyncDisposable {
  /** Absolute path. Everybody may pass through the directory; only its owner may list it. */
  readonly path: string = Deno.makeTempDirSync({ dir: temporaryRoot(), prefix: "guarded-" });
  readonly #guard: Deno.ChildProcess;
  readonly #endOfProgram: WritableStreamDefaultWriter<Uint8Array>;
  #closing: Promise<unknown> | undefined;
  #spawned = 0;

  /** @param command Runs after the processes have ended and before the directory is removed. */
  constructor(command: readonly string[] = []) {
    this.#guard = new Deno.Command("/bin/sh", {
      args: [fromFileUrl(new URL("./guard.sh", import.meta.url)), this.path, ...command],
      // A guard whose working directory is removed or unmounted would be of no use.
      cwd: "/",
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
      detached: true,
    }).spawn();
    this.#endOfProgram = this.#guard.stdin.getWriter();
    Deno.mkdirSync(join(this.path, "groups"));
    Deno.mkdirSync(join(this.path, "tmp"), { mode: 0o711 });
    Deno.chmodSync(this.path, 0o711);
  }

  /**
   * Starts a process in a session of its own, out of reach of the terminal's Ctrl-C. What it leaves running in its
   * process group ends with it.
   *
   * @param endSignal What ends it in an orderly way.
   * @throws {Error} When the directory is being removed.
   */
  spawn(
    command: string,
    options: Omit<Deno.CommandOptions, "detached" | "signal"> = {},
    endSignal: "QUIT" | "TERM" = "TERM",
  ): Deno.ChildProcess {
    if (this.#closing !== undefined) throw new Error(`Starting ${command}: the program is ending`);
    const child = new Deno.Command(command, { ...options, detached: true }).spawn();
    const order = String(++this.#spawned).padStart(6, "0");
    const note = join(this.path, "groups", `${order}-${endSignal}-${child.pid}`);
    Deno.writeTextFileSync(note, "");
    child.status.then(() => {
      try {
        Deno.kill(-child.pid, "SIGKILL");
      } catch { /* the usual case: nothing is left of the group */ }
      try {
        Deno.removeSync(note);
      } catch { /* the directory is gone already */ }
    });
    return child;
  }

  /** Ends the processes, removes the directory and resolves when all of it is done. */
  async close(): Promise<void> {
    await (this.#closing ??= this.#endOfProgram.close().then(() => this.#guard.status));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Where root runs the tests, PostgreSQL runs as another user, who must be able to reach its files: a private TMPDIR
 * is passed over then.
 */
function temporaryRoot(): string {
  const wanted = Deno.env.get("TMPDIR") || "/tmp";
  if (Deno.uid() !== 0) return wanted;
  for (let directory = resolve(wanted); directory !== "/"; directory = dirname(directory)) {
    if ((Deno.statSync(directory).mode ?? 0) % 2 === 0) return "/tmp";
  }
  return wanted;
}

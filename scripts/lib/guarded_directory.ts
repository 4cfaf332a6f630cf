/**
 * A temporary directory, and processes, that do not outlive the program.
 *
 * Deno kills direct children on an uncaught error, leaves them behind on a signal, and can do nothing at
 * all on SIGKILL. So a small shell script (guard.sh) in a session of its own waits for this program to
 * be gone, and then ends the processes and removes the directory. A regular end takes the same path.
 *
 * @module
 */
import { fromFileUrl, join, temporaryRoot } from "./paths.ts";

/** How to open a {@linkcode GuardedDirectory}. */
export interface GuardedDirectoryOptions {
  /** Command that runs after the processes have ended and before the directory is removed. */
  readonly finally?: readonly string[];
}

/** How to start a process in a {@linkcode GuardedDirectory}. */
export interface GuardedSpawnOptions extends Omit<Deno.CommandOptions, "detached" | "signal"> {
  /** The signal that ends the process in an orderly way. Default: SIGTERM. */
  readonly endSignal?: "INT" | "QUIT" | "TERM";
}

/** A temporary directory that is removed, and whose processes end, with this program. */
export class GuardedDirectory implements AsyncDisposable {
  /** Absolute path. Everybody may pass through the directory; only its owner may list it. */
  readonly path: string;
  readonly #guard: Deno.ChildProcess;
  readonly #endOfProgram: WritableStreamDefaultWriter<Uint8Array>;
  #closing: Promise<void> | undefined;
  #spawned = 0;

  /** @param options What to do at the end. */
  constructor(options: GuardedDirectoryOptions = {}) {
    if (Deno.build.os === "windows") {
      throw new Error(
        "Guarding a temporary directory: not possible on Windows, set TEST_DATABASE_URL",
      );
    }
    this.path = Deno.makeTempDirSync({ dir: temporaryRoot(), prefix: "guarded-" });
    this.#guard = new Deno.Command("/bin/sh", {
      args: [
        fromFileUrl(new URL("./guard.sh", import.meta.url)),
        this.path,
        ...options.finally ?? [],
      ],
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
   * Starts a process in a session of its own, out of reach of the terminal's Ctrl-C, which ends with
   * this program. What it leaves running in its process group ends with it.
   *
   * @param command Path of the program.
   * @param options As for `Deno.Command`.
   * @returns The process.
   * @throws {Error} When the directory is being removed.
   */
  spawn(command: string, options: GuardedSpawnOptions = {}): Deno.ChildProcess {
    if (this.#closing !== undefined) {
      throw new Error(`Starting ${command}: the program is ending`);
    }
    const { endSignal = "TERM", ...commandOptions } = options;
    const child = new Deno.Command(command, { ...commandOptions, detached: true }).spawn();
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
  close(): Promise<void> {
    return this.#closing ??= (async () => {
      await this.#endOfProgram.close();
      await this.#guard.status;
    })();
  }

  /** Same as {@linkcode GuardedDirectory.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

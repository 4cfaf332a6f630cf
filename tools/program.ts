/**
 * Programs that end with this one, however it ends.
 *
 * After SIGKILL no program can clean up. So each started program gets a process group with a shell
 * that waits for the end of its standard input, whose other end is open as long as this program
 * runs.
 */

/** `$0`: the signal that ends the group; after two seconds the rest is killed. */
const LEASH = `exec 3<&0
(trap '' HUP INT QUIT TERM; read -r _; kill -s "$0" 0; sleep 2; kill -s KILL 0) <&3 >&- 2>&- &
exec "$@" 3<&- </dev/null`;

export interface ProgramOptions extends Omit<Deno.CommandOptions, "detached" | "signal" | "stdin"> {
  /**
   * `"piped"`: it reads what is written to it and exits at the end of its input. Default: empty
   * input.
   */
  readonly stdin?: "piped";
  /** The signal for a clean shutdown. Default: `TERM`. */
  readonly endSignal?: "QUIT" | "TERM";
}

export type Program = ReturnType<typeof startProgram>;

const running = new Set<Program>();

/** Starts a program, out of reach of the terminal's Ctrl-C, and collects its output. */
export function startProgram(path: string, options: ProgramOptions = {}) {
  const { args = [], stdin, endSignal = "TERM", ...others } = options;
  const [command, ...before] = stdin === "piped"
    ? [path]
    : ["/bin/sh", "-c", LEASH, endSignal, path];
  const child = new Deno.Command(command!, {
    stdout: "piped",
    stderr: "piped",
    ...others,
    args: [...before, ...args],
    stdin: "piped",
    detached: true,
  }).spawn();
  const printed = { stdout: "", stderr: "" };
  const collect = async (name: "stdout" | "stderr") => {
    if ((others[name] ?? "piped") !== "piped") return;
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) {
      printed[name] += text;
    }
  };
  const kill = (signal: Deno.Signal) => {
    try {
      Deno.kill(-child.pid, signal);
    } catch { /* nothing is left of the group */ }
  };
  const input = child.stdin.getWriter();
  const endInput = () => input.close().catch(() => {});
  // Kills the processes that it leaves running.
  const status = child.status.finally(() => {
    running.delete(program);
    kill("SIGKILL");
    return endInput();
  });
  const program = {
    pid: child.pid,
    printed,
    write: (text: string) => input.write(new TextEncoder().encode(text)),
    /** Sends a signal to it and its children. */
    kill: (signal: Deno.Signal) => running.has(program) && kill(signal),
    isRunning: () => running.has(program),
    /** Ends it and waits for the end. */
    end: () => endInput().then(() => status),
    ended: Promise.all([status, collect("stdout"), collect("stderr")])
      .then(([{ code }]) => ({ code, ...printed })),
  };
  running.add(program);
  return program;
}

/** Ends all programs, the last one first, so that none loses its server. */
export async function endPrograms(): Promise<void> {
  for (const program of [...running].reverse()) await program.end();
}

/**
 * Runs a program to its end.
 *
 * @param env Variables besides the inherited ones.
 * @throws {Error} When its status is not 0; the message ends with its output.
 */
export async function runProgram(
  cwd: string,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const options = { args: [...args], cwd, env: { NO_COLOR: "1", ...env } };
  const { code, stdout, stderr } = await startProgram(command, options).ended;
  if (code === 0) return { stdout, stderr };
  throw new Error(
    `Running ${command} ${args.join(" ")}: status ${code}\n${(stderr + stdout).trimEnd()}`,
  );
}

/**
 * Starts a guard, which does its work when its standard input ends: at the latest, when this
 * program is gone.
 *
 * @returns A function that makes the guard work now, and waits for it.
 */
export function startGuard(command: string, args: string[]): () => Promise<void> {
  // A guard could not work in a directory that is removed or unmounted.
  const options = { args, cwd: "/", stdin: "piped", stdout: "null", detached: true } as const;
  const guard = new Deno.Command(command, options).spawn();
  return async () => {
    await guard.stdin.close();
    await guard.status;
  };
}

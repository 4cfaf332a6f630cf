/**
 * Programs that do not outlive this one, however it ends.
 *
 * On SIGKILL no program can clean up after itself. So each one gets a process group with a shell in it that waits for the
 * end of its standard input: the other end is open as long as this program runs.
 *
 * @module
 */

/** `$0`: the signal that ends the group; what is left of it after two seconds is killed. */
const LEASH = `exec 3<&0
(trap '' HUP INT QUIT TERM; read -r _; kill -s "$0" 0; sleep 2; kill -s KILL 0) <&3 >&- 2>&- &
exec "$@" 3<&- </dev/null`;

/** How to start a program. */
export interface ProgramOptions extends Omit<Deno.CommandOptions, "detached" | "signal" | "stdin"> {
  /** `"piped"`: it reads what is written to it, and ends by itself when that ends. Default: nothing to read. */
  readonly stdin?: "piped";
  /** What ends it in an orderly way. Default: `TERM`. */
  readonly endSignal?: "QUIT" | "TERM";
}

export type Program = ReturnType<typeof startProgram>;

const running = new Set<Program>();

/** Starts a program, out of reach of the terminal's Ctrl-C, and collects what it prints. */
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
  // What it leaves running ends with it.
  const status = child.status.finally(() => {
    running.delete(program);
    kill("SIGKILL");
    return endInput();
  });
  const program = {
    pid: child.pid,
    printed,
    write: (text: string) => input.write(new TextEncoder().encode(text)),
    /** Sends a signal to it and to what it has started. */
    kill: (signal: Deno.Signal) => running.has(program) && kill(signal),
    isRunning: () => running.has(program),
    /** Ends it, and waits for its end. */
    end: () => endInput().then(() => status),
    ended: Promise.all([status, collect("stdout"), collect("stderr")])
      .then(([{ code }]) => ({ code, ...printed })),
  };
  running.add(program);
  return program;
}

/** Ends all programs, the last one first, so that none sees its server vanish. */
export async function endPrograms(): Promise<void> {
  for (const program of [...running].reverse()) await program.end();
}

/**
 * Runs a program to its end.
 *
 * @param env Variables besides the inherited ones.
 * @throws {Error} When its status is not 0; the message ends with what it printed.
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
 * Starts a program that does something as soon as this one is gone, which is when its standard input ends.
 *
 * @returns Lets it do its work now, and waits for it.
 */
export function startGuard(command: string, args: string[]): () => Promise<void> {
  // A guard whose working directory is removed or unmounted would be of no use.
  const options = { args, cwd: "/", stdin: "piped", stdout: "null", detached: true } as const;
  const guard = new Deno.Command(command, options).spawn();
  return async () => {
    await guard.stdin.close();
    await guard.status;
  };
}

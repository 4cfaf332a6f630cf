/** Starts a program, and collects what it prints. */
export function startProgram(program: string, options: Deno.CommandOptions) {
  const child = new Deno.Command(program, {
    stdin: "null",
    ...options,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const printed = { stdout: "", stderr: "" };
  const collect = async (name: "stdout" | "stderr") => {
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) {
      printed[name] += text;
    }
  };
  let running = true;
  // What it has started may keep its pipes open for longer.
  const status = child.status.finally(() => running = false);
  const ended = Promise.all([status, collect("stdout"), collect("stderr")])
    .then(([{ code }]) => ({ code, ...printed }));
  return {
    printed,
    stdin: () => child.stdin,
    kill: (signal: Deno.Signal) => running && child.kill(signal),
    isRunning: () => running,
    ended,
  };
}

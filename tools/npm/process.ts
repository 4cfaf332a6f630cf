/**
 * Runs a program to its end.
 *
 * @param env Variables besides the inherited ones.
 * @throws {Error} When its status is not 0; the message ends with what it printed.
 */
export async function runInDirectory(
  cwd: string,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const result = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const [stdout, stderr] = [decode(result.stdout), decode(result.stderr)];
  if (result.success) return { stdout, stderr };
  throw new Error(
    `Running ${command} ${args.join(" ")}: status ${result.code}\n${(stderr + stdout).trimEnd()}`,
  );
}

/**
 * Programs that have to succeed.
 *
 * @module
 */

/** What a program printed. */
export interface ProgramOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 *
 * @param cwd Where.
 * @param command Its name or path.
 * @param args Its arguments.
 * @param env Variables besides the inherited ones.
 * @returns What it printed.
 * @throws {Error} When its status is not 0; the message ends with what it printed.
 */
export async function runInDirectory(
  cwd: string,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<ProgramOutput> {
  const result = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const [stdout, stderr] = [result.stdout, result.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  ) as [string, string];
  if (!result.success) {
    throw new Error(
      `Running ${command} ${args.join(" ")}: status ${result.code}\n${(stderr + stdout).trimEnd()}`,
    );
  }
  return { stdout, stderr };
}

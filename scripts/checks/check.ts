/**
 * What a check is.
 *
 * @module
 */

/** Where and with what to check. */
export interface CheckContext {
  /** Directory of the package. */
  readonly root: string;
  /** A directory for temporary files. */
  readonly temporary: string;
  /** Import map to use in the place of deno.json's imports. */
  readonly importMap?: string | undefined;
}

/** One check. */
export interface Check {
  /** One word, to name it on the command line. */
  readonly name: string;
  /** Resolves to everything that is wrong, in lines; to an empty list when nothing is. */
  run(context: CheckContext): Promise<string[]>;
}

/** What a finished command leaves. */
export interface Outcome {
  readonly success: boolean;
  readonly stdout: string;
  /** Both streams, for people. */
  readonly output: string;
}

/** Runs this very Deno in the package. */
export async function runDeno(root: string, args: readonly string[]): Promise<Outcome> {
  const result = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const [stdout, stderr] = [result.stdout, result.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  ) as [string, string];
  return { success: result.success, stdout, output: stdout + stderr };
}

/** A check that is a command which exits with another status than 0. */
export function commandCheck(name: string, args: (context: CheckContext) => string[]): Check {
  return {
    name,
    async run(context) {
      const { success, output } = await runDeno(context.root, args(context));
      return success ? [] : output.trimEnd().split("\n");
    },
  };
}

/** What the checks read of a manifest. */
export interface Manifest {
  readonly name?: string;
  readonly exports?: Record<string, string>;
  readonly imports?: Record<string, string>;
  readonly [field: string]: unknown;
}

/** Reads a manifest. */
export async function readManifest(root: string, file = "deno.json"): Promise<Manifest> {
  return JSON.parse(await Deno.readTextFile(`${root}/${file}`));
}

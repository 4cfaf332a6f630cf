import { runProgram } from "../program.ts";

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
  /** Resolves to everything that is wrong, in lines, or rejects with it. */
  run(context: CheckContext): Promise<string[]>;
}

/** A check that is a command of this very Deno. */
export function commandCheck(name: string, args: (context: CheckContext) => string[]): Check {
  return {
    name,
    async run(context) {
      await runProgram(context.root, Deno.execPath(), args(context));
      return [];
    },
  };
}

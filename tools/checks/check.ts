import { runProgram } from "../program.ts";

export interface CheckContext {
  readonly root: string;
  readonly temporary: string;
  /** Import map that replaces deno.json's imports. */
  readonly importMap?: string | undefined;
}

export interface Check {
  /** Its name on the command line, one word. */
  readonly name: string;
  /** Resolves to the findings, in lines, or rejects with them. */
  run(context: CheckContext): Promise<string[]>;
}

/** A check that is a command of the running Deno. */
export function commandCheck(name: string, args: (context: CheckContext) => string[]): Check {
  return {
    name,
    async run(context) {
      await runProgram(context.root, Deno.execPath(), args(context));
      return [];
    },
  };
}

/** What a command is. */

import type { OptionsConfig, OptionValues } from "./arguments.ts";

/** A command. `--help`, `--version` and `--env-file` are everywhere and not its business. */
export interface Command<TOptions extends OptionsConfig> {
  /** Ends with a line break. */
  readonly help: string;
  readonly options: TOptions;
  /** Runs it and resolves with the exit status. */
  run(values: OptionValues<TOptions>): Promise<number>;
}

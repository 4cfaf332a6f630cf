/** Reads the arguments. */

import { parseArgs, type ParseArgsConfig } from "node:util";
import { UsageError } from "./usage_error.ts";

/** What `util.parseArgs` takes as options. */
export type OptionsConfig = NonNullable<ParseArgsConfig["options"]>;

/** The values of options, as far as they are given. */
export type OptionValues<TOptions extends OptionsConfig> = {
  [TName in keyof TOptions]?: TOptions[TName] extends { type: "boolean" } ? boolean : string;
};

/**
 * Reads the options of a command.
 *
 * @throws {UsageError} One is unknown, has no value, or there is something else. The message does not repeat
 * arguments: somebody might have put a password there.
 */
export function parseOptions<TOptions extends OptionsConfig>(
  args: readonly string[],
  options: TOptions,
): OptionValues<TOptions> {
  try {
    const { values } = parseArgs({ args: [...args], options, allowPositionals: false });
    return values as OptionValues<TOptions>;
  } catch (error) {
    switch ((error as { code?: unknown }).code) {
      case "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL":
        throw new UsageError("there is an argument that belongs to no option");
      case "ERR_PARSE_ARGS_UNKNOWN_OPTION":
        throw new UsageError(`there is an unknown option${nameIn(error)}`);
      case "ERR_PARSE_ARGS_INVALID_OPTION_VALUE":
        throw new UsageError(`an option has no value, or must not have one${nameIn(error)}`);
      default:
        throw error;
    }
  }
}

/** The option's name, which stands in the message, alone. */
function nameIn(error: unknown): string {
  const name = /'(?:-\w, )?(--?[a-z][a-z-]*)/.exec((error as Error).message)?.[1];
  return name === undefined ? "" : `: ${name}`;
}

/** Reads a number of rows. */
export function parsePositiveInteger(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < 1) {
    throw new UsageError(`${option} is not a positive integer`);
  }
  return number;
}

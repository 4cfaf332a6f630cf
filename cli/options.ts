/** Parses and checks the commands' options. */

import process from "node:process";
import { parseArgs } from "node:util";
import { readEnvFile } from "./env_file.ts";
import { UsageError } from "./errors.ts";

/** A command line option. */
export interface Option<T> {
  readonly type: "boolean" | "string";
  /** `undefined` for an invalid value. */
  parse(value: string): T | undefined;
  /** The message for an invalid value. */
  readonly otherwise: string;
}

/** The values of the given options. */
export type OptionValues<TOptions> = {
  readonly [TName in keyof TOptions]?: TOptions[TName] extends Option<infer T> ? T : never;
};

function option<T>(otherwise: string, parse: (value: string) => T | undefined): Option<T> {
  return { type: "string", parse, otherwise };
}

export const flag: Option<boolean> = { type: "boolean", parse: () => true, otherwise: "" };
export const text: Option<string> = option("", (value) => value);
export const positiveInteger: Option<number> = option(
  "is not a positive integer",
  (value) => wholeNumber(value, 1, Number.MAX_SAFE_INTEGER),
);
export const port: Option<number> = option(
  "is not a port",
  (value) => wholeNumber(value, 0, 65_535),
);
export const httpUrl: Option<string> = option("is not an HTTP URL", (value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url?.protocol === "http:" || url?.protocol === "https:" ? url.href : undefined;
});

export const variableName: Option<string> = option(
  "is not a variable's name: letters, digits and underscores, not starting with a digit",
  (value) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(value) ? value : undefined,
);

/** Drizzle's naming of columns without an explicit name. */
export type Casing = "snake_case" | "camelCase";
export const casing: Option<Casing> = option(
  "is neither snake_case nor camelCase",
  (value) => value === "snake_case" || value === "camelCase" ? value : undefined,
);

function wholeNumber(value: string, min: number, max: number): number | undefined {
  return /^\d+$/.test(value) && Number(value) >= min && Number(value) <= max
    ? Number(value)
    : undefined;
}

/**
 * Reads a command's options, and sets the variables of `--env-file`, an option of every command.
 *
 * @throws {UsageError} When an option is unknown or invalid, or there is another argument. The
 *   message does not repeat arguments: one might be a misplaced password.
 */
export async function readOptions<TOptions extends Readonly<Record<string, Option<unknown>>>>(
  args: readonly string[],
  options: TOptions,
): Promise<OptionValues<TOptions>> {
  const { "env-file": envFile, ...given } = parse(args, { ...options, "env-file": text });
  const values = Object.entries(given).map(([name, value]) =>
    [name, checkValue(name, options[name]!, String(value))] as const
  );
  if (typeof envFile === "string") {
    for (const [name, value] of Object.entries(await readEnvFile(envFile))) {
      process.env[name] = value;
    }
  }
  return Object.fromEntries(values) as OptionValues<TOptions>;
}

/** Parses an option's value. */
export function checkValue<T>(name: string, { parse, otherwise }: Option<T>, value: string): T {
  const parsed = parse(value);
  if (parsed === undefined) throw new UsageError(`--${name} ${otherwise}`);
  return parsed;
}

function parse(args: readonly string[], options: Readonly<Record<string, Option<unknown>>>) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values;
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    // Only the option's name of the message is repeated.
    const name = /'(?:-\w, )?(--?[\w-]+)/.exec(message)?.[1];
    const named = name === undefined ? "" : `: ${name}`;
    const messages: Readonly<Record<string, string>> = {
      ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL: "there is an argument without an option",
      ERR_PARSE_ARGS_UNKNOWN_OPTION: `there is an unknown option${named}`,
      ERR_PARSE_ARGS_INVALID_OPTION_VALUE:
        `an option lacks its value, or must not have one${named}`,
    };
    throw code in messages ? new UsageError(messages[code]) : error;
  }
}

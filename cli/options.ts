/** The options of commands: how they are given, and how they are checked. */

import process from "node:process";
import { parseArgs } from "node:util";
import { readEnvFile } from "./env_file.ts";
import { UsageError } from "./errors.ts";

/** An option. */
export interface Option<T> {
  readonly type: "boolean" | "string";
  /** `undefined` where the value makes no sense. */
  parse(value: string): T | undefined;
  /** What a value that makes no sense is told to be. */
  readonly otherwise: string;
}

/** The values of options, as far as they are given. */
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
  "is not a name of a variable: letters, digits and underscores, no digit first",
  (value) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(value) ? value : undefined,
);

/** Drizzle's ways to name columns whose name in the database is not given. */
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
 * Reads the options of a command, and sets the variables of `--env-file`, which every command takes.
 *
 * @throws {UsageError} One is unknown or has a wrong value, or there is something else. The message does not
 * repeat arguments: somebody might have put a password there.
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

/** Reads the value of an option. */
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
    // The option's name stands in the message; nothing else of it is repeated.
    const name = /'(?:-\w, )?(--?[\w-]+)/.exec(message)?.[1];
    const named = name === undefined ? "" : `: ${name}`;
    const messages: Readonly<Record<string, string>> = {
      ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL: "there is an argument that belongs to no option",
      ERR_PARSE_ARGS_UNKNOWN_OPTION: `there is an unknown option${named}`,
      ERR_PARSE_ARGS_INVALID_OPTION_VALUE: `an option has no value, or must not have one${named}`,
    };
    throw code in messages ? new UsageError(messages[code]) : error;
  }
}

/**
 * Arguments of `deno test`.
 *
 * @module
 */
import { join, repository } from "./paths.ts";

/** Options of `deno test` whose value may be an argument of its own. */
const OPTIONS_WITH_VALUE = /^(--(filter|reporter|junit-path|config|cert|location|seed|ext)|-c)$/;

/**
 * Whether arguments name files to test.
 *
 * @param args Arguments for `deno test`.
 */
export function namesFiles(args: readonly string[]): boolean {
  return args.some((arg, index) => {
    const end = args.indexOf("--");
    if (end !== -1 && index >= end) return false;
    return !arg.startsWith("-") && !OPTIONS_WITH_VALUE.test(args[index - 1] ?? "");
  });
}

/**
 * What is tested when no files are named: the suites, and the examples in the documentation of every
 * module that belongs to the library.
 */
export function everything(): string[] {
  const places = ["tests", "mod.ts", "cli.ts", "errors.ts", "pg", "webhooks", "tokens", "testing"];
  return ["--doc", ...places.filter((place) => exists(join(repository, place)))];
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Errors that end a command, and their messages. */

import { stripVTControlCharacters } from "node:util";

/** Invalid arguments: exit status 2. */
export class UsageError extends Error {}

/** A failure that the user can fix: exit status 1. The message contains no secret. */
export class Failure extends Error {}

/** A file that cannot be read or written. */
export function fileFailure(attempt: "Reading" | "Writing", path: string, error: unknown): Failure {
  const { code = "it is not possible" } = error as { code?: string };
  return new Failure(`${attempt} ${path}: ${code}`);
}

/** Length limit in characters: loaders put whole stacks into their messages. */
const SHOWN = 1_000;

/** Describes an error in one line, by its messages only: other properties may contain values. */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  for (let next = error; next !== undefined && next !== null && messages.length < 5;) {
    const { message, code, cause, errors } = next as Partial<AggregateError> & { code?: unknown };
    // A connection refused by several addresses has no message of its own.
    const text = message || (typeof code === "string" ? code : "") ||
      (errors?.[0] as Error | undefined)?.message || (message === undefined ? String(next) : "");
    if (text && !messages.at(-1)?.includes(text)) messages.push(text);
    next = cause;
  }
  const line = stripVTControlCharacters(messages.join(": ")).replaceAll(/\s*\n\s*/g, " ").trim();
  return (line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line) || "an error without a message";
}

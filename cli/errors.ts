/** What ends a command, and how the operator is told. */

import { stripVTControlCharacters } from "node:util";

/** Arguments that make no sense: status 2. */
export class UsageError extends Error {}

/** What the operator can do something about: status 1. The message holds no secret. */
export class Failure extends Error {}

/** A file that cannot be read or written. */
export function fileFailure(attempt: "Reading" | "Writing", path: string, error: unknown): Failure {
  const { code = "it is not possible" } = error as { code?: string };
  return new Failure(`${attempt} ${path}: ${code}`);
}

/** Longest description, in characters: loaders put whole stacks into their messages. */
const SHOWN = 1_000;

/** What went wrong, in one line, without stack and without anything but messages: a driver's errors may carry values. */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  for (let next = error; next !== undefined && next !== null && messages.length < 5;) {
    const { message, code, cause, errors } = next as Partial<AggregateError> & { code?: unknown };
    // A refused connection to several addresses has no message of its own.
    const text = message || (typeof code === "string" ? code : "") ||
      (errors?.[0] as Error | undefined)?.message || (message === undefined ? String(next) : "");
    if (text && !messages.at(-1)?.includes(text)) messages.push(text);
    next = cause;
  }
  const line = stripVTControlCharacters(messages.join(": ")).replaceAll(/\s*\n\s*/g, " ").trim();
  return (line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line) || "an error without a message";
}

/** Failures that the operator can do something about. */

/** Ends the command with status 1; the message is for the operator and holds no secret. */
export class Failure extends Error {}

/** What went wrong, without stack and without anything but messages: a driver's errors may carry values. */
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
  return messages.join(": ") || "an error without a message";
}

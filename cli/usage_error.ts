/** Arguments that make no sense. */

/** Ends the command with status 2; the message is for the operator. */
export class UsageError extends Error {}

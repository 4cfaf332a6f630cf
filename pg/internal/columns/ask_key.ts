/**
 * Calls keys. A key may be any application's object, so only this module calls its methods, and it
 * checks the results before anything is stored or returned.
 */

import type { EncryptionKey } from "../../interfaces.ts";
import { describeValue } from "./well_formed.ts";

/** The methods of keys: how messages about them begin, and the type they have to return. */
const METHODS = {
  encrypt: ["Encrypting", "string"],
  decrypt: ["Decrypting", "string"],
  isCurrent: ["Checking the key of", "boolean"],
} as const;

interface Answers {
  encrypt: string;
  decrypt: string;
  isCurrent: boolean;
}

/** A key returned the wrong type. */
class WrongAnswer extends TypeError {
  constructor(
    readonly method: keyof Answers,
    readonly found: string,
    subject = "a value",
  ) {
    const [attempt, expected] = METHODS[method];
    super(`${attempt} ${subject}: ${method} of a key gave ${found} instead of a ${expected}`);
  }
}

/**
 * Calls a key. The key may return without a promise; if it throws, the result rejects.
 *
 * @param subject The value's column, for messages.
 * @throws {TypeError} When the key does not return a string or, for `isCurrent`, a boolean.
 */
export async function askKey<TMethod extends keyof Answers>(
  key: Pick<Required<EncryptionKey>, TMethod>,
  method: TMethod,
  text: string,
  subject?: () => string,
): Promise<Answers[TMethod]> {
  let answer: Answers[TMethod];
  try {
    answer = await (key as Required<EncryptionKey>)[method](text) as Answers[TMethod];
  } catch (error) {
    // Keys call other keys, which do not know the value's column.
    throw subject && error instanceof WrongAnswer
      ? new WrongAnswer(error.method, error.found, subject())
      : error;
  }
  const type: string = typeof answer;
  if (type === METHODS[method][1]) return answer;
  throw new WrongAnswer(method, describeValue(answer), subject?.());
}

/**
 * Asks keys. A key may be anybody's object: this is the one place that calls its methods, and what it answers is
 * checked before anything is stored or handed over.
 */

import type { EncryptionKey } from "../../interfaces.ts";
import { describeValue } from "./well_formed.ts";

/** The methods of keys: how messages about them begin, and what they have to answer. */
const METHODS = {
  encrypt: ["Encrypting", "string"],
  decrypt: ["Decrypting", "string"],
  isCurrent: ["Telling the key of", "boolean"],
} as const;

interface Answers {
  encrypt: string;
  decrypt: string;
  isCurrent: boolean;
}

/** Thrown when a key answers with something else than it has to. */
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
 * Asks a key. An answer without a promise counts as well, and a key that throws at once rejects.
 *
 * @param subject Whose value it is, for messages.
 * @throws {TypeError} The key answers with something else than a string, or than true or false.
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
    // Keys ask other keys, who do not know whose value it is.
    throw subject && error instanceof WrongAnswer
      ? new WrongAnswer(error.method, error.found, subject())
      : error;
  }
  const type: string = typeof answer;
  if (type === METHODS[method][1]) return answer;
  throw new WrongAnswer(method, describeValue(answer), subject?.());
}

/**
 * JSON without its two ambiguities: names that occur twice in one object (of which another reader might take
 * the other value) and nesting that other readers do not bear. RFC 8259, sections 4 and 9.
 */

import { Refusal } from "../answers.ts";

const MAX_DEPTH = 64;

function refuse(found: string): Refusal {
  return new Refusal("ERR_BODY_INVALID", `Reading the body of a webhook: ${found}`);
}

/**
 * Parses a body.
 *
 * @throws {Refusal} When it is not UTF-8, not JSON, nested deeper than 64 levels, or has a name twice in one object.
 */
export function parseBody(bytes: Uint8Array): { text: string; value: unknown } {
  let text: string;
  try {
    // A byte order mark stays in: the text is handed on as the body that was signed.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refuse("it is not UTF-8");
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The engine's message quotes the body; engines that parse recursively throw a RangeError when it is deep.
    throw refuse("it is not JSON");
  }
  refuseAmbiguities(text);
  return { text, value };
}

/** Walks over a text that is known to be JSON, so that brackets and quotes can be taken at face value. */
function refuseAmbiguities(text: string): void {
  // What is open at the moment, from the outside in: the names of an object so far, or `undefined` for an array.
  const open: (Set<string> | undefined)[] = [];
  let nameExpected = false;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case "{":
      case "[":
        nameExpected = text[at] === "{";
        open.push(nameExpected ? new Set() : undefined);
        if (open.length > MAX_DEPTH) throw refuse(`it is nested deeper than ${MAX_DEPTH} levels`);
        break;
      case "}":
      case "]":
        open.pop();
        nameExpected = false;
        break;
      case ",":
        nameExpected = open.at(-1) !== undefined;
        break;
      case '"': {
        const end = endOfString(text, at);
        if (nameExpected) {
          // Parsed, because "a" can be written as "\u0061", too.
          const name: string = JSON.parse(text.slice(at, end + 1));
          const names = open.at(-1);
          if (names?.has(name)) throw refuse("a name occurs twice in one object");
          names?.add(name);
          nameExpected = false;
        }
        at = end;
        break;
      }
    }
  }
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

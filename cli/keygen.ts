/** `keygen`: generates keys. */

import { stat } from "node:fs/promises";
import process from "node:process";
import { setInEnvFile } from "./env_file.ts";
import { flag, readOptions, text, variableName } from "./options.ts";
import { stderr, stdout, styled } from "./output.ts";

/** The length of the derived key: more bytes add no security. */
const PASSWORD_BYTES = 32;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

export const help = `Generates a master password and a salt, or a raw key, from random bytes.

Usage: mitthooks-drizzle keygen [--raw] [--name NAME] [--write FILE]

Prints lines for a .env file:
  ENCRYPTION_MASTER_PASSWORD and ENCRYPTION_SALT   for buildEncryptionKey
  ENCRYPTION_KEY                                   for importEncryptionKey, in base64, with --raw

Options:
  --raw          a key of 32 bytes instead of a master password and a salt. In the schema:
                 importEncryptionKey(Uint8Array.from(atob(process.env.ENCRYPTION_KEY), (character) =>
                   character.charCodeAt(0)))
  --name NAME    prefix of the variables instead of ENCRYPTION. For a second pair, to change keys,
                 --name NEW_ENCRYPTION generates NEW_ENCRYPTION_MASTER_PASSWORD and
                 NEW_ENCRYPTION_SALT
  --write FILE   writes the lines to FILE and prints no secret; existing values are kept
`;

export async function run(args: readonly string[]): Promise<number> {
  const { raw, name = "ENCRYPTION", write } = await readOptions(args, {
    raw: flag,
    name: variableName,
    write: text,
  });
  const variables: Record<string, string> = raw ? { [`${name}_KEY`]: randomBase64(KEY_BYTES) } : {
    [`${name}_MASTER_PASSWORD`]: randomBase64(PASSWORD_BYTES),
    [`${name}_SALT`]: randomBase64(SALT_BYTES),
  };
  if (write === undefined) {
    for (const [name, value] of Object.entries(variables)) stdout.line(`${name}=${value}`);
    return 0;
  }
  const { written, created } = await setInEnvFile(write, variables);
  const kept = Object.keys(variables).filter((name) => !written.includes(name));
  if (kept.length > 0) {
    stderr.line(
      `${write}: ${kept.join(" and ")} ${kept.length > 1 ? "have" : "has"} a value, which was kept`,
    );
  }
  if (written.length === 0) return 1;
  stdout.line(`${write}: ${written.join(" and ")} written${created ? " to a new file" : ""}`);
  // A group may be allowed to read it, for the application. Windows has no such modes.
  if (process.platform !== "win32" && (await stat(write)).mode & 0o004) {
    stderr.line(styled(
      "yellow",
      `${write}: every user of this machine can read it; to change that: chmod 600 ${write}`,
    ));
  }
  return 0;
}

function randomBase64(bytes: number): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(bytes))));
}

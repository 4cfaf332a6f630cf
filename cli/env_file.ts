/** Reads `.env` files, and puts variables into them without touching anything that is there. */

import { Buffer } from "node:buffer";
import { chmod, chown, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { Failure, fileFailure } from "./errors.ts";

/** Only its owner may read a file with secrets. */
const MODE = 0o600;

/**
 * An assignment, from the beginning of its line. A value in quotes may go over several lines, so that
 * what looks like an assignment within it is none.
 */
const ASSIGNMENT =
  /^(?:\xEF\xBB\xBF)?[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=([ \t]*(?:'[^']*'|"(?:\\[^]|[^"\\])*"|`[^`]*`|[^\r\n#]*))/gm;

/** Reads the variables of a file: the last of several values; quotes around a value are none of it. */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  const text = await readFile(path, "utf8").catch((error) => {
    throw fileFailure("Reading", path, error);
  });
  // The pattern is made for bytes.
  const assignments = text.replace(/^\uFEFF/, "").matchAll(ASSIGNMENT);
  return Object.fromEntries(
    [...assignments].map(([, name, value]) => [name!, withoutQuotes(value!.trim())]),
  );
}

function withoutQuotes(text: string): string {
  const [, quote, value = text] = /^(['"`])([^]*)\1$/.exec(text) ?? [];
  // As Node reads it.
  return quote === '"' ? value.replaceAll("\\n", "\n") : value;
}

/**
 * Sets variables in a file, those alone that have no value there.
 *
 * @param path Of the file; it is created if need be, for its owner alone.
 * @param variables Their values; characters that need quotes must not be among them.
 * @returns The names of the variables that were set, and whether the file is new.
 */
export async function setInEnvFile(
  path: string,
  variables: Readonly<Record<string, string>>,
): Promise<{ written: string[]; created: boolean }> {
  // One character for each byte: whatever the encoding, the rest stays as it is.
  const before = await readFile(path, "latin1").catch((error) => {
    if (error.code !== "ENOENT") throw fileFailure("Reading", path, error);
  });
  const { text, written } = withVariables(before ?? "", variables);
  try {
    if (before === undefined) await writeFile(path, text, { mode: MODE, flag: "wx" });
    else if (written.length > 0) await replaceFile(path, text);
  } catch (error) {
    // Nothing could be read there before.
    if ((error as { code?: string }).code === "EEXIST") {
      throw new Failure(`Writing ${path}: it is a link to nothing, or has just been made`);
    }
    throw fileFailure("Writing", path, error);
  }
  return { written, created: before === undefined };
}

function withVariables(text: string, variables: Readonly<Record<string, string>>) {
  const written: string[] = [];
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  for (const [name, value] of Object.entries(variables)) {
    const assignments = [...text.matchAll(ASSIGNMENT)].filter((match) => match[1] === name);
    if (!assignments.every(([, , found]) => /^\s*(''|""|``)?\s*$/.test(found!))) continue;
    written.push(name);
    // Of several, the last one counts.
    const empty = assignments.at(-1);
    if (empty) {
      const start = empty.index + empty[0].length - empty[2]!.length;
      // Blanks before a comment belong to it.
      text = text.slice(0, start) + value + text.slice(start + empty[2]!.trimEnd().length);
    } else {
      if (text !== "" && !text.endsWith("\n")) text += newline;
      text += `${name}=${value}${newline}`;
    }
  }
  return { text, written };
}

/** In one step: whoever reads it, or pulls the plug, finds the old file or the new one. */
async function replaceFile(path: string, text: string): Promise<void> {
  const target = await realpath(path);
  const { mode, uid, gid } = await stat(target);
  const temporary = `${target}.${crypto.randomUUID()}`;
  try {
    // Deno 2.5 cannot write latin1 itself.
    await writeFile(temporary, Buffer.from(text, "latin1"), { mode: MODE, flag: "wx" });
    await chmod(temporary, mode & 0o7777);
    // Only root may give files away, and only root has files of others here.
    await chown(temporary, uid, gid).catch(() => {});
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

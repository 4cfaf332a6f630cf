/** Reads `.env` files, and puts variables into them without touching anything that is there. */

import { Buffer } from "node:buffer";
import { chmod, chown, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { Failure } from "./failure.ts";

/** What was done with each variable. */
export interface EnvFileResult {
  /** The names of variables that were set. */
  readonly written: string[];
  /** The names of those that had a value. */
  readonly kept: string[];
  /** Whether the file is new. */
  readonly created: boolean;
}

/** Only its owner may read a file with secrets. */
const MODE = 0o600;

/**
 * An assignment, from the beginning of its line. A value in quotes may go over several lines, so that
 * what looks like an assignment within it is none.
 */
const ASSIGNMENT =
  /^(?:\xEF\xBB\xBF)?[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=([ \t]*(?:'[^']*'|"(?:\\[^]|[^"\\])*"|`[^`]*`|[^\r\n#]*))/gm;

/**
 * Reads the variables of a file: the last of several values; quotes around a value are none of it.
 *
 * @throws {Failure} The file cannot be read.
 */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  const text = await readFile(path, "utf8").catch((error) => {
    throw new Failure(`Reading ${path}: ${error.code ?? "it is not possible"}`);
  });
  // The pattern is made for bytes.
  const assignments = text.replace(/^\uFEFF/, "").matchAll(ASSIGNMENT);
  return Object.fromEntries(
    [...assignments].map(([, name, value]) => [name!, valueOf(value!.trim())]),
  );
}

function valueOf(text: string): string {
  const quoted = /^(['"`])([^]*)\1$/.exec(text);
  if (!quoted) return text;
  const [, quote, value] = quoted;
  // As Node reads it.
  return quote === '"' ? value!.replaceAll("\\n", "\n") : value!;
}

/**
 * Sets variables in a file, those alone that have no value there.
 *
 * @param path Of the file; it is created if need be, for its owner alone.
 * @param variables Their values; characters that need quotes must not be among them.
 */
export async function setInEnvFile(
  path: string,
  variables: Readonly<Record<string, string>>,
): Promise<EnvFileResult> {
  const names = Object.keys(variables);
  // One character for each byte: whatever the encoding, the rest stays as it is.
  const before = await readFile(path, "latin1").catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw new Failure(`Reading ${path}: ${error.code ?? "it is not possible"}`);
  });
  try {
    if (before === undefined) {
      const text = names.map((name) => `${name}=${variables[name]}\n`).join("");
      await writeFile(path, text, { mode: MODE, flag: "wx" });
      return { written: names, kept: [], created: true };
    }
    const { text, written } = withVariables(before, variables);
    if (written.length > 0) await replaceFile(path, text);
    return { written, kept: names.filter((name) => !written.includes(name)), created: false };
  } catch (error) {
    throw new Failure(
      `Writing ${path}: ${(error as { code?: string }).code ?? "it is not possible"}`,
    );
  }
}

function withVariables(text: string, variables: Readonly<Record<string, string>>) {
  const assignments = [...text.matchAll(ASSIGNMENT)].map((match) => ({
    name: match[1]!,
    value: match[2]!,
    start: match.index + match[0].length - match[2]!.length,
  }));
  const written: string[] = [];
  const changes: { start: number; end: number; value: string }[] = [];
  let appended = "";
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  for (const [name, value] of Object.entries(variables)) {
    const same = assignments.filter((assignment) => assignment.name === name);
    if (same.some((assignment) => !isEmpty(assignment.value))) continue;
    written.push(name);
    // Of several, the last one counts.
    const empty = same.at(-1);
    if (empty) {
      // Blanks before a comment belong to it.
      const end = empty.start + empty.value.trimEnd().length;
      changes.push({ start: empty.start, end, value });
    } else {
      appended += `${name}=${value}${newline}`;
    }
  }
  for (const { start, end, value } of changes.toSorted((a, b) => b.start - a.start)) {
    text = text.slice(0, start) + value + text.slice(end);
  }
  if (appended !== "" && text !== "" && !text.endsWith("\n")) text += newline;
  return { text: text + appended, written };
}

function isEmpty(value: string): boolean {
  return /^\s*(''|""|``)?\s*$/.test(value);
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

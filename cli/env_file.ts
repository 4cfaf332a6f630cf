/** Reads `.env` files, and adds variables to them without changing existing content. */

import { Buffer } from "node:buffer";
import { execFile } from "node:child_process";
import {
  access,
  chmod,
  chown,
  constants,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import process from "node:process";
import { Failure, fileFailure } from "./errors.ts";

/** Only the owner may read a file with secrets. */
const MODE = 0o600;

/** Size limit of a `.env` file in bytes. */
const MAX_BYTES = 1024 ** 2;

/** Limits of the runtime's reading (ms) and output (bytes): JSON may turn one byte into six. */
const READ_LIMIT_MS = 30_000;
const READ_LIMIT_BYTES = 16 * MAX_BYTES;

/**
 * An assignment, from the start of its line. A quoted value may span several lines; text in it that
 * looks like an assignment is none. Bun accepts a colon, too.
 */
const ASSIGNMENT =
  /^(?:\xEF\xBB\xBF)?[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*(?:=|:(?=[ \t]*[^\s#]))([ \t]*(?:'[^']*'|"(?:\\[^]|[^"\\])*"|`[^`]*`|[^\r\n#]*))/gm;

/** Prints the environment on the last line. */
const PRINT_ENVIRONMENT =
  'import process from "node:process"; console.log("\\n" + JSON.stringify(process.env))';

/**
 * Reads the variables that a file adds to the environment, exactly as this runtime's `--env-file`
 * does for an application. Runtimes treat quotes, `$` and comments differently, and a key must not
 * depend on which program has read its password. So the runtime itself reads the file, in a child
 * process. Variables that are already set win, as with `--env-file`.
 *
 * @throws {Failure} When the file cannot be read, or this runtime has no `--env-file`.
 */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  await checkReadable(path);
  const flag = `--env-file=${path}`;
  const args = "Deno" in globalThis
    ? ["eval", "--quiet", "--no-config", "--no-lock", flag, PRINT_ENVIRONMENT]
    : "Bun" in globalThis
    ? [flag, "--eval", PRINT_ENVIRONMENT]
    : [flag, "--input-type=module", "--eval", PRINT_ENVIRONMENT];
  const printed = await new Promise<string>((resolve, reject) => {
    const limits = { timeout: READ_LIMIT_MS, maxBuffer: READ_LIMIT_BYTES };
    execFile(process.execPath, args, limits, (error, stdout) => {
      // The error's message would contain the program's output.
      if (error) {
        reject(new Failure(`Reading ${path}: this runtime cannot read it with --env-file`));
      } else resolve(stdout.trimEnd());
    });
  });
  const environment = JSON.parse(printed.slice(printed.lastIndexOf("\n"))) as NodeJS.ProcessEnv;
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      value === undefined || process.env[name] !== undefined ? [] : [[name, value]]
    ),
  );
}

/** Refuses endless files, and missing ones, for which Deno only prints a warning. */
async function checkReadable(path: string): Promise<void> {
  const attempt = "Reading";
  const found = await stat(path).catch((error) => {
    throw fileFailure(attempt, path, error);
  });
  // A shell's `--env-file <(decrypt .env.age)` is a pipe.
  if (!found.isFile() && !found.isFIFO()) {
    throw new Failure(`${attempt} ${path}: it is neither a file nor a pipe`);
  }
  if (found.size > MAX_BYTES) throw tooLarge(attempt, path);
  if (found.isFile()) {
    await access(path, constants.R_OK).catch((error) => {
      throw fileFailure(attempt, path, error);
    });
  }
}

function tooLarge(attempt: string, path: string): Failure {
  return new Failure(`${attempt} ${path}: it is larger than ${MAX_BYTES / 1024 ** 2} MiB`);
}

/**
 * Sets variables in a file unless they have a value there.
 *
 * @param path The file. A missing one is created, readable by its owner only.
 * @param variables The variables; their values must not need quotes.
 * @returns The names of the variables set, and whether the file is new.
 */
export async function setInEnvFile(
  path: string,
  variables: Readonly<Record<string, string>>,
): Promise<{ written: string[]; created: boolean }> {
  const replaceable = await checkReplaceable(path);
  // latin1 maps each byte to one character, so the rest stays the same in any encoding.
  const before = replaceable
    ? await readFile(path, "latin1").catch((error) => {
      throw fileFailure("Reading", path, error);
    })
    : undefined;
  const { text, written } = withVariables(before ?? "", variables);
  try {
    if (before === undefined) await writeFile(path, text, { mode: MODE, flag: "wx" });
    else if (written.length > 0) await replaceFile(path, text);
  } catch (error) {
    // The path did not exist when it was checked.
    if ((error as { code?: string }).code === "EEXIST") {
      throw new Failure(`Writing ${path}: it is a dangling link, or was created just now`);
    }
    throw fileFailure("Writing", path, error);
  }
  return { written, created: before === undefined };
}

/**
 * Refuses a path that a replacement would break. Opens nothing: opening a FIFO blocks.
 *
 * @returns Whether there is a file.
 */
async function checkReplaceable(path: string): Promise<boolean> {
  const attempt = "Writing";
  const found = await stat(path).catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw fileFailure(attempt, path, error);
  });
  if (found === undefined) return false;
  if (!found.isFile()) throw new Failure(`${attempt} ${path}: it is not a regular file`);
  if (found.size > MAX_BYTES) throw tooLarge(attempt, path);
  if (found.nlink > 1) {
    throw new Failure(
      `${attempt} ${path}: it has other hard links, which would keep the old content`,
    );
  }
  // For root, every file is writable.
  const readOnly = (found.mode & 0o222) === 0 ||
    await access(path, constants.W_OK).then(() => false, () => true);
  if (readOnly) throw new Failure(`${attempt} ${path}: it is read-only`);
  return true;
}

function withVariables(text: string, variables: Readonly<Record<string, string>>) {
  const written: string[] = [];
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  for (const [name, value] of Object.entries(variables)) {
    const assignments = [...text.matchAll(ASSIGNMENT)].filter((match) => match[1] === name);
    if (!assignments.every(([, , found]) => /^\s*(''|""|``)?\s*$/.test(found!))) continue;
    written.push(name);
    // The last one counts.
    const empty = assignments.at(-1);
    if (empty) {
      const start = empty.index + empty[0].length - empty[2]!.length;
      // Keeps blanks before a comment.
      text = text.slice(0, start) + value + text.slice(start + empty[2]!.trimEnd().length);
    } else {
      if (text !== "" && !text.endsWith("\n")) text += newline;
      text += `${name}=${value}${newline}`;
    }
  }
  return { text, written };
}

/** Replaces a file atomically: a reader, or a crash, finds the old file or the new one. */
async function replaceFile(path: string, text: string): Promise<void> {
  const target = await realpath(path);
  const { mode, uid, gid } = await stat(target);
  const temporary = `${target}.${crypto.randomUUID()}`;
  try {
    // Deno 2.5 cannot write latin1 itself.
    await writeFile(temporary, Buffer.from(text, "latin1"), { mode: MODE, flag: "wx" });
    await chmod(temporary, mode & 0o7777);
    // Only root may change a file's owner, and only for root can the owners differ here.
    await chown(temporary, uid, gid).catch(() => {});
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

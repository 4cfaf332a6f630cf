/** User applications in separate folders; Deno ones get this package from the working tree. */

import { basename, dirname, fromFileUrl, join, toFileUrl } from "../../tools/paths.ts";
import { standInImportMap } from "../../tools/import_map.ts";
import { NPM_NAME, SUBPATHS_OF_THE_ORIGINAL } from "../../tools/npm/manifest.ts";
import { blocksOf, commandsOf } from "./documents.ts";
import { poll } from "../../tools/postgres/databases.ts";
import { startProgram } from "../../tools/program.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));

export interface Ended {
  code: number;
  /** Standard output and standard error. */
  output: string;
}

export interface RunningServer extends AsyncDisposable {
  /** `http://localhost:PORT` */
  url: string;
  /** Its output so far. */
  output(): string;
  /** Terminates it and waits for the end. */
  stop(): Promise<Ended>;
}

/** A folder with an application, and the variables of its commands. */
export abstract class Application implements AsyncDisposable {
  protected constructor(readonly path: string, readonly env: Readonly<Record<string, string>>) {}

  protected async finish(
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Ended> {
    const { code, stdout, stderr } = await this.#start(program, args, env).ended;
    return { code, output: stdout + stderr };
  }

  /**
   * Starts a program and waits for its output to match; the pattern's first group is a server's
   * port.
   */
  async launch(
    program: string,
    args: readonly string[],
    says: RegExp,
    endSignal: Deno.Signal = "SIGTERM",
  ): Promise<RunningServer> {
    const { printed, isRunning, kill, ended } = this.#start(program, args);
    const output = () => printed.stdout + printed.stderr;
    // A task passes SIGTERM on to its child; SIGKILL would leave the child behind.
    const stop = async () => {
      kill(endSignal);
      const limit = setTimeout(() => kill("SIGKILL"), 30_000);
      const { code } = await ended;
      clearTimeout(limit);
      return { code, output: output() };
    };
    await poll(() => says.test(output()) || !isRunning(), { timeoutMs: 60_000 })
      .catch(async (error) => {
        await stop();
        throw error;
      });
    const said = says.exec(output());
    if (!said) throw new Error(`Starting ${basename(program)}: it ended: ${output()}`);
    return {
      url: `http://localhost:${said[1]}`,
      output,
      stop,
      [Symbol.asyncDispose]: async () => void await stop(),
    };
  }

  #start(program: string, args: readonly string[], env = {}) {
    const options = { args: [...args], cwd: this.path, env: { ...this.env, ...env } };
    return startProgram(program, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

export class Project extends Application {
  /**
   * Writes the files to a temporary folder. Imports are those of the package's manifest plus the
   * given ones; the package can also be imported by its npm name.
   */
  static async create(
    files: Record<string, string>,
    env: Record<string, string> = {},
    imports: Record<string, string> = {},
  ): Promise<Project> {
    const path = await writeFolder(files);
    const manifest = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
    const own = JSON.parse(files["deno.json"] ?? "{}");
    await Deno.writeTextFile(
      join(path, "deno.json"),
      JSON.stringify({
        ...own,
        imports: {
          ...standInImportMap(manifest).imports,
          ...npmNames(manifest.exports),
          ...imports,
        },
        nodeModulesDir: "manual",
        lock: false,
      }),
    );
    await Deno.symlink(join(root, "node_modules"), join(path, "node_modules"));
    return new Project(path, { NO_COLOR: "1", ...env });
  }

  withEnv(env: Record<string, string>): Project {
    return new Project(this.path, { ...this.env, ...env });
  }

  deno(...args: string[]): Promise<Ended> {
    return this.finish(Deno.execPath(), args);
  }

  /** Runs a documentation's shell line that starts with `deno`. */
  shell(line: string): Promise<Ended> {
    const [command, ...args] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (command !== "deno") throw new Error(`Running a line: it does not begin with deno: ${line}`);
    return this.deno(...args);
  }

  /** Starts `deno` with arguments, and waits until it prints its address. */
  serve(...args: string[]): Promise<RunningServer> {
    return this.launch(Deno.execPath(), args, /Listening on (?:http:\/\/[^:]+:|port )(\d+)/);
  }
}

function npmNames(exports: Record<string, string>): Record<string, string> {
  const targets: Record<string, string> = { ...exports };
  for (const [path, target] of Object.entries(SUBPATHS_OF_THE_ORIGINAL)) {
    targets[path] = exports[target]!;
  }
  return Object.fromEntries(
    Object.entries(targets).map(([path, target]) => [
      `${NPM_NAME}${path.slice(1)}`,
      toFileUrl(join(root, target)).href,
    ]),
  );
}

export async function readFolder(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const read = async (path: string) => {
    for await (const entry of Deno.readDir(join(root, folder, path))) {
      const name = path ? `${path}/${entry.name}` : entry.name;
      // Installed or built files.
      if (["node_modules", "dist"].includes(entry.name)) continue;
      if (entry.isDirectory) await read(name);
      else files[name] = await Deno.readTextFile(join(root, folder, name));
    }
  };
  await read("");
  return files;
}

export async function writeFolder(files: Readonly<Record<string, string>>): Promise<string> {
  const path = await Deno.makeTempDir({ prefix: "mitthooks_project_" });
  for (const [name, text] of Object.entries(files)) {
    const file = join(path, name);
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
  return path;
}

/** The lines of an example README's shell blocks, without comments. */
export async function readCommands(example: string): Promise<string[]> {
  const path = `examples/${example}/README.md`;
  const text = await Deno.readTextFile(join(root, path));
  return commandsOf({ path, text, blocks: blocksOf(text) })
    .map((line) => line.replace(/ *#.*/, ""));
}

/** The output of a command that must succeed. */
export async function succeeded(command: Promise<Ended>): Promise<string> {
  const { code, output } = await command;
  if (code !== 0) throw new Error(`Running a command: it ended with ${code}: ${output}`);
  return output;
}

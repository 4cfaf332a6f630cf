/** An application of a user's, in a folder of its own, that gets this package from the working tree. */

import { fromFileUrl, join, toFileUrl } from "../../scripts/lib/paths.ts";
import { standInImportMap } from "../../scripts/lib/import_map.ts";
import { NPM_NAME, SUBPATHS_OF_THE_ORIGINAL } from "../../scripts/lib/npm_manifest.ts";
import { type Block, blocksOf } from "./documents.ts";
import { poll } from "./postgres.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));

/** How a command ended. */
export interface Ended {
  code: number;
  /** Standard output and standard error. */
  output: string;
}

/** A program that was started. */
export interface RunningProgram extends AsyncDisposable {
  /** What it has printed so far. */
  output(): string;
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<Ended>;
}

/** A server that was started. */
export interface RunningServer extends RunningProgram {
  /** `http://localhost:PORT` */
  url: string;
}

/** A folder with an application. */
export class Project implements AsyncDisposable {
  private constructor(readonly path: string, readonly env: Record<string, string>) {}

  /**
   * Writes the files to a temporary folder. Imports are those of the package's own manifest; the package itself can
   * be imported by its name on npm, too.
   *
   * @param files Contents by path.
   * @param env Variables for all commands.
   * @param imports Further entries of the import map; what begins with `./` is in the folder.
   */
  static async create(
    files: Record<string, string>,
    env: Record<string, string> = {},
    imports: Record<string, string> = {},
  ): Promise<Project> {
    const path = await Deno.makeTempDir({ prefix: "mitthooks_project_" });
    const project = new Project(path, { NO_COLOR: "1", ...env });
    for (const [name, text] of Object.entries(files)) {
      const file = join(path, name);
      await Deno.mkdir(join(file, ".."), { recursive: true });
      await Deno.writeTextFile(file, text);
    }
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
    return project;
  }

  /** The same folder with more variables. */
  withEnv(env: Record<string, string>): Project {
    return new Project(this.path, { ...this.env, ...env });
  }

  /** Runs `deno` with arguments to its end. */
  async deno(...args: string[]): Promise<Ended> {
    const { code, stdout, stderr } = await this.#command(args).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, output: decode(stdout) + decode(stderr) };
  }

  /** Runs a line of a documentation's shell block that begins with `deno`. */
  shell(line: string): Promise<Ended> {
    const [command, ...args] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (command !== "deno") throw new Error(`Running a line: it does not begin with deno: ${line}`);
    return this.deno(...args);
  }

  /** Starts `deno` with arguments, and waits until it says where it listens. */
  async serve(...args: string[]): Promise<RunningServer> {
    const listening = /Listening on (?:http:\/\/[^:]+:|port )(\d+)/;
    const started = await this.start(listening, ...args);
    const port = listening.exec(started.output())![1];
    return { ...started, url: `http://localhost:${port}` };
  }

  /** Starts `deno` with arguments, and waits until it has printed something. */
  async start(awaited: RegExp, ...args: string[]): Promise<RunningProgram> {
    const process = this.#command(args).spawn();
    let printed = "";
    const reading = Promise.all([process.stdout, process.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) printed += text;
    }));
    let status: Deno.CommandStatus | undefined;
    const ended = process.status.then((result) => status = result);
    // A task hands SIGTERM on to what it runs; SIGKILL would leave that behind.
    const stop = async () => {
      if (!status) process.kill("SIGTERM");
      const { code } = await ended;
      await reading;
      return { code, output: printed };
    };
    try {
      await poll(() => awaited.test(printed) || status, { timeoutMs: 30_000 });
      if (!awaited.test(printed)) throw new Error(`Starting a program: it ended: ${printed}`);
      return {
        output: () => printed,
        stop,
        [Symbol.asyncDispose]: async () => void await stop(),
      };
    } catch (error) {
      await stop();
      throw error;
    }
  }

  #command(args: string[]): Deno.Command {
    return new Deno.Command(Deno.execPath(), {
      args,
      cwd: this.path,
      env: this.env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** The subpaths of the package on npm. */
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

/** Reads all files below a folder of the repository. */
export async function readFolder(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const read = async (path: string) => {
    for await (const entry of Deno.readDir(join(root, folder, path))) {
      const name = path ? `${path}/${entry.name}` : entry.name;
      if (entry.name === "node_modules") continue;
      if (entry.isDirectory) await read(name);
      else files[name] = await Deno.readTextFile(join(root, folder, name));
    }
  };
  await read("");
  return files;
}

/** The code blocks of a Markdown file. */
export async function readBlocks(file: string): Promise<Block[]> {
  return blocksOf(await Deno.readTextFile(join(root, file)));
}

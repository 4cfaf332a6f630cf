/** An application of a user's, in a folder of its own, that gets this package from the working tree. */

import { fromFileUrl, join } from "../../scripts/lib/paths.ts";
import { standInImportMap } from "../../scripts/lib/import_map.ts";
import { poll } from "./postgres.ts";

const root = fromFileUrl(new URL("../..", import.meta.url));

/** How a command ended. */
export interface Ended {
  code: number;
  /** Standard output and standard error. */
  output: string;
}

/** A server that was started. */
export interface RunningServer extends AsyncDisposable {
  /** `http://localhost:PORT` */
  url: string;
  /** What it has printed so far. */
  output(): string;
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<Ended>;
}

/** A folder with an application. */
export class Project implements AsyncDisposable {
  private constructor(readonly path: string, readonly env: Record<string, string>) {}

  /**
   * Writes the files to a temporary folder. Imports are those of the package's own manifest.
   *
   * @param files Contents by path.
   * @param env Variables for all commands.
   */
  static async create(
    files: Record<string, string>,
    env: Record<string, string> = {},
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
    const { imports } = standInImportMap(manifest);
    await Deno.writeTextFile(
      join(path, "deno.json"),
      JSON.stringify({ ...own, imports, nodeModulesDir: "manual", lock: false }),
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
      const port = await poll(() => {
        if (status) throw new Error(`Starting a server: it ended: ${printed}`);
        return /Listening on http:\/\/[^:]+:(\d+)/.exec(printed)?.[1];
      }, { timeoutMs: 30_000 });
      return {
        url: `http://localhost:${port}`,
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
export async function readBlocks(file: string): Promise<{ language: string; code: string }[]> {
  const text = await Deno.readTextFile(join(root, file));
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)]
    .map(([, language = "", code = ""]) => ({ language, code }));
}

/** An example of `examples/` for npm, installed with this package as npm would have it. */

import { buildNpmPackage, packNpmPackage } from "../../scripts/lib/npm_package.ts";
import { NPM_NAME } from "../../scripts/lib/npm_manifest.ts";
import { basename, dirname, join } from "../../scripts/lib/paths.ts";
import { npmInstall } from "../../scripts/runtimes/npm_project.ts";
import { nodeProgram } from "../../scripts/runtimes/programs.ts";
import { poll } from "./postgres.ts";
import { type Ended, readBlocks, readFolder, type RunningServer } from "./project.ts";

let tarball: Promise<string> | undefined;

/** Builds the package once. */
function packageTarball(): Promise<string> {
  return tarball ??= (async () => {
    const work = await Deno.makeTempDir({ prefix: "mitthooks_package_" });
    await buildNpmPackage(join(work, "package"));
    return await packNpmPackage(join(work, "package"), work);
  })();
}

/** The example, in a folder of its own. */
export class NpmExample implements AsyncDisposable {
  private constructor(
    readonly path: string,
    /** The lines of the shell blocks of its README, without comments. */
    readonly commands: readonly string[],
    readonly env: Readonly<Record<string, string>>,
  ) {}

  /**
   * Copies and installs it.
   *
   * @param name Its folder in `examples/`.
   * @param without Packages that the test does not need.
   */
  static async create(name: string, { without = [] }: { without?: string[] } = {}) {
    const path = await Deno.makeTempDir({ prefix: "mitthooks_example_" });
    for (const [file, text] of Object.entries(await readFolder(`examples/${name}`))) {
      await Deno.mkdir(dirname(join(path, file)), { recursive: true });
      await Deno.writeTextFile(join(path, file), text);
    }
    const manifest = JSON.parse(await Deno.readTextFile(join(path, "package.json")));
    manifest.dependencies[NPM_NAME] = `file:${await packageTarball()}`;
    for (const unneeded of without) delete manifest.devDependencies[unneeded];
    await Deno.writeTextFile(join(path, "package.json"), JSON.stringify(manifest));
    await npmInstall(path);
    const node = await nodeProgram(24);
    const commands = (await readBlocks(`examples/${name}/README.md`))
      .filter(({ language }) => language === "sh")
      .flatMap(({ code }) => code.trim().split("\n").map((line) => line.replace(/ *#.*/, "")));
    return new NpmExample(path, commands, {
      PATH: `${dirname(node.path)}:${Deno.env.get("PATH")}`,
      NO_COLOR: "1",
    });
  }

  /** Writes the file of variables as somebody who follows the README does. */
  async configure(file: string, variables: Readonly<Record<string, string>>): Promise<void> {
    let text = await Deno.readTextFile(join(this.path, `${file}.example`));
    for (const [name, value] of Object.entries(variables)) {
      if (!new RegExp(`^${name}=`, "m").test(text)) text += `${name}=\n`;
      text = text.replace(new RegExp(`^${name}=.*$`, "m"), () => `${name}=${value}`);
    }
    await Deno.writeTextFile(join(this.path, file), text);
  }

  /** Runs a line of the README to its end. */
  async run(line: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const { code, stdout, stderr } = await this.#command(line, env).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, output: decode(stdout) + decode(stderr) };
  }

  /** Starts a program of the example with the Node that its commands use, until it says where it listens. */
  async serve(args: readonly string[]): Promise<RunningServer> {
    return await this.start(["node", ...args], /Listening on http:\/\/localhost:(\d+)/);
  }

  /** Starts a program, until it prints something with a port in it. */
  async start(
    [program, ...args]: readonly string[],
    says: RegExp,
    endSignal: Deno.Signal = "SIGTERM",
  ): Promise<RunningServer> {
    const process = new Deno.Command(program!, {
      args,
      cwd: this.path,
      env: this.env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let printed = "";
    const reading = Promise.all([process.stdout, process.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) printed += text;
    }));
    let status: Deno.CommandStatus | undefined;
    const ended = process.status.then((result) => status = result);
    const stop = async () => {
      if (!status) process.kill(endSignal);
      const { code } = await ended;
      await reading;
      return { code, output: printed };
    };
    try {
      const port = await poll(() => {
        if (status) throw new Error(`Starting ${basename(this.path)}: it ended: ${printed}`);
        return says.exec(printed)?.[1];
      }, { timeoutMs: 60_000 });
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

  #command(line: string, env: Readonly<Record<string, string>>): Deno.Command {
    return new Deno.Command("/bin/sh", {
      args: ["-c", line],
      cwd: this.path,
      env: { ...this.env, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A port that nobody listens on at the moment. */
export function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return listener.addr.port;
}

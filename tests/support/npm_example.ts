/** An npm example of `examples/`, installed with this package's npm build. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { freePort } from "../../tools/free_port.ts";
import { npmPackage } from "../../tools/npm/package.ts";
import { basename, dirname, join } from "../../tools/paths.ts";
import { npmInstall, toolProject } from "../../tools/npm/project.ts";
import { nodeProgram } from "../../tools/npm/programs.ts";
import {
  Application,
  type Ended,
  readCommands,
  readFolder,
  type RunningServer,
  succeeded,
  writeFolder,
} from "./project.ts";

/** Compiler options for examples without `tsconfig.json`: as Node.js runs them. */
const TSC =
  "tsc --strict --skipLibCheck --noEmit --module nodenext --target es2024 --types node --allowImportingTsExtensions *.ts";

/** The name that examples import the package by, an alias of npm's. */
const JSR_NAME = "@wais/mitthooks-drizzle";

export class NpmExample extends Application {
  private constructor(
    path: string,
    env: Readonly<Record<string, string>>,
    /** The path of its env file. */
    readonly variables: string,
  ) {
    super(path, env);
  }

  /**
   * Copies and installs it, generates its keys and env file, and checks its README's commands,
   * types and migration. Packages that the test does not need can be omitted.
   */
  static async create(
    name: string,
    variables: Readonly<Record<string, string>>,
    { file = ".env", without = [] }: { file?: string; without?: string[] } = {},
  ): Promise<NpmExample> {
    const files = await readFolder(`examples/${name}`);
    const manifest = JSON.parse(files["package.json"]!);
    manifest.dependencies[JSR_NAME] = `file:${(await npmPackage()).tarball}`;
    manifest.devDependencies["@types/node"] ??= "^24.0.0";
    // The compiler is large, and the same for all.
    for (const unneeded of [...without, "typescript"]) delete manifest.devDependencies[unneeded];
    let text = files[`${file}.example`]!;
    for (const [variable, value] of Object.entries(variables)) {
      text = `${text.replace(new RegExp(`^${variable}=.*\n`, "m"), "")}${variable}=${value}\n`;
    }
    const path = await writeFolder({
      ...files,
      "package.json": JSON.stringify(manifest),
      [file]: text,
    });
    await npmInstall(path);
    const node = await nodeProgram(24);
    const compiler = await toolProject("TypeScript", { typescript: "7.0.2" });
    const programs = [dirname(node.path), `${compiler}/node_modules/.bin`, Deno.env.get("PATH")];
    const env = { PATH: programs.join(":"), NO_COLOR: "1" };
    const example = new NpmExample(path, env, join(path, file));
    const build = manifest.scripts.build ? "npm run build, " : "";
    assertEquals(
      (await readCommands(name)).join(", "),
      `npm install, npm run keygen, npm run db:generate && npm run db:migrate, ${build}npm start, npm run mstudio`,
    );
    await example.succeed("npm run keygen");
    if (!files["tsconfig.json"]) await example.succeed(TSC);
    assertStringIncludes(await example.succeed("npm run db:generate"), "SQL migration file");
    return example;
  }

  /** Runs a line of the README to its end. */
  run(line: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.finish("/bin/sh", ["-c", line], env);
  }

  succeed(line: string): Promise<string> {
    return succeeded(this.run(line));
  }

  /**
   * Runs the README's `curl` line against the command's simulated mStudio and a server, both at
   * other ports.
   *
   * @param serve Starts the server with an env file.
   */
  async curl(serve: (file: string) => Promise<RunningServer>): Promise<string> {
    const port = freePort();
    const file = `${basename(this.variables)}.curl`;
    const variables = await Deno.readTextFile(this.variables);
    await Deno.writeTextFile(
      join(this.path, file),
      variables.replace(/^MITTWALD_API_URL=.*$/m, `MITTWALD_API_URL=http://localhost:${port}`),
    );
    await using server = await serve(file);
    const command = `mstudio --env-file ${file} --keep --serve ${port}`;
    await using _mstudio = await this.launch(
      "node",
      `node_modules/.bin/mitthooks-drizzle ${command} --target ${server.url}/webhooks`.split(" "),
      /Serving the API on http:\/\/localhost:(\d+)/,
      "SIGINT",
    );
    const [line] = /^curl .*$/m.exec(await Deno.readTextFile(join(this.path, "README.md")))!;
    return await this.succeed(
      line.replace("http://localhost:8000", server.url).replace(":8001", `:${port}`),
    );
  }

  /** Starts a program with the commands' Node, and waits until it prints its address. */
  serve(...args: string[]): Promise<RunningServer> {
    return this.launch("node", args, /Listening on:? http:\/\/localhost:(\d+)/);
  }
}

/** The runtimes, from their npm packages. */
import { join } from "../paths.ts";
import { installedVersion, toolProject } from "./project.ts";

export interface Program {
  readonly name: "Bun" | "Deno" | "Node";
  readonly version: string;
  readonly path: string;
}

const PLATFORM = `${Deno.build.os}-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}`;

async function installed(
  name: Program["name"],
  directory: string,
  packageName: string,
  path: string,
): Promise<Program> {
  const version = await installedVersion(directory, packageName);
  return { name, version, path: join(directory, "node_modules", packageName, path) };
}

/** The newest Node.js of a major version. */
export async function nodeProgram(major: number): Promise<Program> {
  const name = `node-${PLATFORM}`;
  const directory = await toolProject(`node-${major}`, { [name]: String(major) });
  return await installed("Node", directory, name, "bin/node");
}

export async function bunProgram(): Promise<Program> {
  const directory = await toolProject("bun", { bun: "^1.3.0" });
  const name = `@oven/bun-${PLATFORM.replace("arm64", "aarch64")}`;
  return await installed("Bun", directory, name, "bin/bun");
}

/** The running Deno, or an exact version. */
export async function denoProgram(version?: string): Promise<Program> {
  if (version === undefined) {
    return { name: "Deno", version: Deno.version.deno, path: Deno.execPath() };
  }
  const name = `@deno/${PLATFORM}${Deno.build.os === "linux" ? "-glibc" : ""}`;
  const directory = await toolProject(`deno-${version}`, { [name]: version });
  const program = await installed("Deno", directory, name, "deno");
  // As the package's install script would do.
  await Deno.chmod(program.path, 0o755);
  return program;
}

/** Projects and programs from npm. Downloads stay in `.cache/`. */
import { runProgram } from "../program.ts";
import { join, repository } from "../paths.ts";

export const cacheDirectory: string = join(repository, ".cache");

export type Dependencies = Readonly<Record<string, string>>;

const NPM_OPTIONS = [
  "--no-package-lock",
  "--prefer-offline",
  "--no-audit",
  "--no-fund",
  // No package used here needs its install script.
  "--ignore-scripts",
  `--cache=${join(cacheDirectory, "npm")}`,
];

/** Installs packages into an empty project. */
export async function createProject(
  directory: string,
  dependencies: Dependencies,
  ...options: readonly string[]
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  const manifest = JSON.stringify({ private: true, type: "module", dependencies });
  await Deno.writeTextFile(join(directory, "package.json"), manifest);
  await npmInstall(directory, ...options);
}

/** Installs the project's dependencies and further packages. */
export async function npmInstall(directory: string, ...packages: string[]): Promise<void> {
  await runProgram(directory, "npm", ["install", ...packages, ...NPM_OPTIONS]);
}

export async function installedVersion(directory: string, name: string): Promise<string> {
  const path = join(directory, "node_modules", name, "package.json");
  return JSON.parse(await Deno.readTextFile(path)).version;
}

const tools = new Map<string, Promise<string>>();

/**
 * A project with only programs, which does not change between runs.
 *
 * @param name Its directory's name, always with the same dependencies.
 * @returns Its directory.
 */
export function toolProject(name: string, dependencies: Dependencies): Promise<string> {
  const directory = join(cacheDirectory, "tools", name);
  const tool = tools.get(name) ?? installTools(directory, dependencies);
  tools.set(name, tool);
  return tool;
}

async function installTools(directory: string, dependencies: Dependencies): Promise<string> {
  const wanted = JSON.stringify(dependencies);
  const stamp = join(directory, "installed.json");
  if (await Deno.readTextFile(stamp).catch(() => "") === wanted) return directory;
  await Deno.remove(directory, { recursive: true }).catch(() => {});
  await createProject(directory, dependencies);
  await Deno.writeTextFile(stamp, wanted);
  return directory;
}

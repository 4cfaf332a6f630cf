/** The manifest of the npm package, derived from deno.json as far as possible. */

import type { Manifest } from "../manifest.ts";

export type NpmManifest = ReturnType<typeof npmManifest>;

/** The name on npm, that of this package's predecessor. */
export const NPM_NAME = "@weissaufschwarz/mitthooks-drizzle";

const COMMAND = "mitthooks-drizzle";

/**
 * All packages that an installation adds; the package check fails for any other. Every application
 * trusts their code, so decide deliberately.
 */
const OWN_DEPENDENCIES = ["jose", "scrypt-js"];

/** The dependency of `./mitthooks`. Applications that import that have it already. */
export const MITTHOOKS = "@weissaufschwarz/mitthooks";

/** Packages that the library may load; the application provides drivers. */
export const DEPENDENCIES: ReadonlySet<string> = new Set(
  [...OWN_DEPENDENCIES, "drizzle-orm", MITTHOOKS],
);

/** URL of the repository without `.git`; empty until it is known. npm's provenance needs it. */
export const REPOSITORY: string = "";

/** Types for compiling, of packages without their own. */
export const TYPE_PACKAGES = { "@types/node": "22.20.5", "@types/pg": "8.23.1" } as const;

/**
 * Drizzle's release candidates are named rc.5, builds between them rc.5-1a2b3c4, which sorts after
 * every number.
 */
const DRIZZLE_1_RANGE = ">=1.0.0-rc.5 <1.0.0-rc.0-0 || >=1.0.0 <1.1.0";

/** The tested lines of Drizzle with their packages, oldest first. */
export const DRIZZLE_LINES = [
  { name: "0.44", install: "0.44.7", range: ">=0.44.7 <0.46.0" },
  { name: "0.45", install: "~0.45.0", range: ">=0.44.7 <0.46.0" },
  { name: "1.0", install: "1.0.0-rc.5", range: DRIZZLE_1_RANGE },
] as const;

/**
 * Drivers, with the lowest version on which the suites pass and the first untested one. An
 * application installs the one that it uses, so all are optional.
 */
export const DRIVERS = {
  "@electric-sql/pglite": { lowest: "0.2.0", below: "0.6.0" },
  "@neondatabase/serverless": { lowest: "0.10.0", below: "2.0.0" },
  "pg": { lowest: "8.11.0", below: "9.0.0" },
  "postgres": { lowest: "3.4.0", below: "4.0.0" },
} as const;

/** The command's TypeScript loader on Node.js, if the application has it. */
const LOADER = { jiti: ">=2.7.0 <3.0.0" } as const;

/** Subpaths of the original package, and the modules with their names. */
export const SUBPATHS_OF_THE_ORIGINAL = {
  "./index": "./pg",
  "./encryption": "./pg/encryption",
  "./schema": "./pg/schema",
} as const;

/** Builds the manifest; its paths are those of the compiled source modules. */
export function npmManifest(source: Manifest) {
  const command = source.exports["./cli"];
  const rangeOf = (name: string) => source.imports[name]!.replace(`npm:${name}@`, "");
  return {
    name: NPM_NAME,
    version: source.version,
    description:
      "Drizzle ORM storage for mittwald extension instances, with encrypted columns, on every runtime",
    keywords: ["mittwald", "mitthooks", "drizzle-orm", "postgresql", "encryption", "webhooks"],
    license: source.license,
    ...REPOSITORY !== "" && {
      repository: { type: "git", url: `git+${REPOSITORY}.git` },
      homepage: `${REPOSITORY}#readme`,
      bugs: `${REPOSITORY}/issues`,
    },
    type: "module",
    sideEffects: false,
    engines: { node: ">=20" },
    exports: npmExports(source.exports),
    // npm adds README and LICENSE itself.
    files: ["**/*.js", "**/*.d.ts", "CHANGELOG.md"],
    ...command && { bin: { [COMMAND]: compiled(command, ".js") } },
    dependencies: Object.fromEntries(OWN_DEPENDENCIES.map((name) => [name, rangeOf(name)])),
    peerDependencies: {
      ...Object.fromEntries(
        Object.entries(DRIVERS).map(([name, { lowest, below }]) => [name, `>=${lowest} <${below}`]),
      ),
      [MITTHOOKS]: rangeOf(MITTHOOKS),
      "drizzle-orm": [...new Set(DRIZZLE_LINES.map(({ range }) => range))].join(" || "),
      ...LOADER,
    },
    peerDependenciesMeta: Object.fromEntries(
      Object.keys({ ...DRIVERS, ...LOADER, [MITTHOOKS]: "" })
        .map((name) => [name, { optional: true }]),
    ),
    publishConfig: { access: "public" },
  };
}

function npmExports(exports: Manifest["exports"]) {
  const modules = { ...exports };
  for (const [old, today] of Object.entries(SUBPATHS_OF_THE_ORIGINAL)) {
    modules[old] = modules[`${old}.js`] = exports[today]!;
  }
  return Object.fromEntries(
    Object.entries(modules).map(([subpath, module]) => [
      subpath,
      { types: compiled(module, ".d.ts"), default: compiled(module, ".js") },
    ]),
  );
}

function compiled(module: string, extension: ".js" | ".d.ts"): string {
  return module.replace(/\.ts$/, extension);
}

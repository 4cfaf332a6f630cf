/**
 * What the manifest of the npm package says. All that deno.json knows is taken from there.
 *
 * @module
 */

import type { Manifest } from "../manifest.ts";

/** The manifest of the npm package. */
export type NpmManifest = ReturnType<typeof npmManifest>;

/** The name on npm, which is that of the package that this one continues. */
export const NPM_NAME = "@weissaufschwarz/mitthooks-drizzle";

/** The name of the operator's command. */
const COMMAND = "mitthooks-drizzle";

/**
 * All that an installation brings besides this package; the check of the package fails at a name more. Each is code that
 * every application trusts, so decide about it.
 */
const OWN_DEPENDENCIES = ["jose", "scrypt-js"];

/** What `./mitthooks` needs. Applications that import it have it already. */
export const MITTHOOKS = "@weissaufschwarz/mitthooks";

/** Packages that the library may load; drivers are the application's. */
export const DEPENDENCIES: ReadonlySet<string> = new Set(
  [...OWN_DEPENDENCIES, "drizzle-orm", MITTHOOKS],
);

/** Where the sources are, without `.git`; empty until it is known. npm's provenance asks for it. */
export const REPOSITORY: string = "";

/** Types that the modules are compiled with, of packages that have none of their own. */
export const TYPE_PACKAGES = { "@types/node": "22.20.5", "@types/pg": "8.23.1" } as const;

/** Release candidates of Drizzle are named rc.5, builds between them rc.5-1a2b3c4, which sorts behind every number. */
const DRIZZLE_1_RANGE = ">=1.0.0-rc.5 <1.0.0-rc.0-0 || >=1.0.0 <1.1.0";

/** The lines of Drizzle that the library is tested on, oldest first, and what belongs to each. */
export const DRIZZLE_LINES = [
  { name: "0.44", install: "0.44.7", range: ">=0.44.7 <0.46.0" },
  { name: "0.45", install: "~0.45.0", range: ">=0.44.7 <0.46.0" },
  { name: "1.0", install: "1.0.0-rc.5", range: DRIZZLE_1_RANGE },
] as const;

/**
 * Drivers, with the lowest version that the suites pass on and the first that nobody has tried. An application
 * installs the one that it uses, so all of them are optional.
 */
export const DRIVERS = {
  "@electric-sql/pglite": { lowest: "0.2.0", below: "0.6.0" },
  "@neondatabase/serverless": { lowest: "0.10.0", below: "2.0.0" },
  "pg": { lowest: "8.11.0", below: "9.0.0" },
  "postgres": { lowest: "3.4.0", below: "4.0.0" },
} as const;

/** What the command loads TypeScript with on Node, where an application has it. */
const LOADER = { jiti: ">=2.7.0 <3.0.0" } as const;

/** Subpaths that applications of the original package import, and what has their names today. */
export const SUBPATHS_OF_THE_ORIGINAL = {
  "./index": "./pg",
  "./encryption": "./pg/encryption",
  "./schema": "./pg/schema",
} as const;

/** Describes the npm package; its paths are those of the source modules, compiled. */
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

/** Path of what becomes of a source module. */
function compiled(module: string, extension: ".js" | ".d.ts"): string {
  return module.replace(/\.ts$/, extension);
}

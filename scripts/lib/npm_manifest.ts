/**
 * What the manifest of the npm package says. All that deno.json knows is taken from there.
 *
 * @module
 */

/** What is read of deno.json. */
export interface SourceManifest {
  readonly version: string;
  readonly license: string;
  /** Subpaths by their source modules. */
  readonly exports: Readonly<Record<string, string>>;
  /** Packages by their `npm:` or `jsr:` specifiers. */
  readonly imports: Readonly<Record<string, string>>;
}

/** A subpath of the npm package. */
export interface NpmExport {
  readonly types: string;
  readonly default: string;
}

/** The manifest of the npm package. */
export interface NpmManifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, NpmExport>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** The name on npm, which is that of the package that this one continues. */
export const NPM_NAME = "@weissaufschwarz/mitthooks-drizzle";

/** The name of the operator's command. */
const COMMAND = "mitthooks-drizzle";

/** Packages that the library loads itself. */
const DEPENDENCIES = ["@weissaufschwarz/mitthooks", "scrypt-js"];

/**
 * The lines of Drizzle that the library is tested on, oldest first. The two numbers of a range are the
 * first version that belongs to it and the first that does not.
 */
export const DRIZZLE_LINES = [
  { name: "0.44", install: "0.44.7", range: ">=0.44.7 <0.46.0" },
  { name: "0.45", install: "~0.45.0", range: ">=0.44.7 <0.46.0" },
  { name: "1.0", install: "1.0.0-rc.5", range: ">=1.0.0-rc.5 <1.1.0" },
] as const;

/** Drivers. An application installs the one that it uses, so all of them are optional. */
const DRIVERS = {
  "@electric-sql/pglite": "^0.5.16",
  "@neondatabase/serverless": "^1.2.0",
  // From where the original package asks for it.
  "pg": "^8.16.3",
  "postgres": "^3.4.9",
} as const;

/** Subpaths that applications of the original package import, and what has their names today. */
const SUBPATHS_OF_THE_ORIGINAL = {
  "./index": "./pg",
  "./encryption": "./pg/encryption",
  "./schema": "./pg/schema",
} as const;

/**
 * Describes the npm package.
 *
 * @param source What deno.json says.
 * @returns The manifest; its paths are those of the source modules, compiled.
 * @throws {Error} When deno.json lacks a dependency.
 */
export function npmManifest(source: SourceManifest): NpmManifest {
  const command = source.exports["./cli"];
  return {
    name: NPM_NAME,
    version: source.version,
    description:
      "Drizzle ORM storage for mittwald extension instances, with encrypted columns, on every runtime",
    keywords: ["mittwald", "mitthooks", "drizzle-orm", "postgresql", "encryption", "webhooks"],
    license: source.license,
    type: "module",
    sideEffects: false,
    engines: { node: ">=20" },
    exports: npmExports(source.exports),
    // npm adds README and LICENSE itself.
    files: ["**/*.js", "**/*.d.ts", "CHANGELOG.md"],
    ...command && { bin: { [COMMAND]: compiled(command, ".js") } },
    dependencies: Object.fromEntries(
      DEPENDENCIES.map((name) => [name, npmRange(source.imports, name)]),
    ),
    peerDependencies: {
      ...DRIVERS,
      "drizzle-orm": [...new Set(DRIZZLE_LINES.map(({ range }) => range))].join(" || "),
    },
    peerDependenciesMeta: Object.fromEntries(
      Object.keys(DRIVERS).map((name) => [name, { optional: true }]),
    ),
    publishConfig: { access: "public" },
  };
}

function npmExports(exports: SourceManifest["exports"]): Record<string, NpmExport> {
  const result: Record<string, NpmExport> = {};
  for (const [subpath, module] of Object.entries(exports)) {
    result[subpath] = { types: compiled(module, ".d.ts"), default: compiled(module, ".js") };
  }
  for (const [old, today] of Object.entries(SUBPATHS_OF_THE_ORIGINAL)) {
    const entry = result[today];
    if (entry === undefined) {
      throw new Error(`Exporting ${old}: deno.json does not export ${today}`);
    }
    result[old] = entry;
    result[`${old}.js`] = entry;
  }
  return result;
}

/** Path of what becomes of a source module. */
function compiled(module: string, extension: ".js" | ".d.ts"): string {
  return module.replace(/\.ts$/, extension);
}

function npmRange(imports: SourceManifest["imports"], name: string): string {
  const range = imports[name]?.match(/^npm:\/?.+@([^@]+)$/)?.[1];
  if (range === undefined) throw new Error(`Reading deno.json: it has no npm version of ${name}`);
  return range;
}

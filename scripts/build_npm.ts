/**
 * `deno task build:npm`: builds the npm package in `npm/`, and packs it next to it.
 *
 * dnt compiles it; without dnt from JSR, `deno pack` does. Publish with `npm publish npm/`.
 *
 * @module
 */
import { buildNpmPackage, packNpmPackage } from "../tools/npm/package.ts";
import { join, repository } from "../tools/paths.ts";

const { directory, manifest, compiler } = await buildNpmPackage(join(repository, "npm"));
const tarball = await packNpmPackage(directory, directory);
console.log(`${manifest.name}@${manifest.version}, compiled by ${compiler}: ${tarball}`);

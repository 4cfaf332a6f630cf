/**
 * `deno task build:npm`: builds the npm package in `npm/`, and packs it there.
 *
 * dnt compiles it; without dnt from JSR, `deno pack` does. Publish with `npm publish npm/`.
 */
import { buildNpmPackage } from "../tools/npm/package.ts";
import { join, repository } from "../tools/paths.ts";

const { manifest, tarball } = await buildNpmPackage(join(repository, "npm"));
console.log(`${manifest.name}@${manifest.version}: ${tarball}`);

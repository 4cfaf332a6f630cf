/**
 * `deno task check:release TAG`: whether this commit can be published under this tag.
 *
 * @module
 */
import { REPOSITORY } from "../lib/npm_manifest.ts";
import { join, repository } from "../lib/paths.ts";
import { type Manifest, readManifest } from "./check.ts";

/** What a release is made of. */
export interface Release {
  readonly deno: Manifest;
  readonly jsr: Manifest;
  readonly changelog: string;
  /** Address of the repository, or nothing. */
  readonly repository: string;
}

/**
 * Looks for what is missing.
 *
 * @param tag For example `v1.2.3`.
 */
export function releaseFindings(tag: string, release: Release): string[] {
  const { version } = release.deno;
  const findings: string[] = [];
  if (tag !== `v${version}`) {
    findings.push(`the tag is "${tag}", the version in deno.json ${version}`);
  }
  if (release.jsr.version !== version) {
    findings.push(`the version in jsr.json is ${release.jsr.version}, in deno.json ${version}`);
  }
  if (!release.changelog.includes(`\n## ${version}\n`)) {
    findings.push(`CHANGELOG.md has no section ${version}`);
  }
  if (release.repository === "") {
    findings.push(
      "REPOSITORY in scripts/lib/npm_manifest.ts is empty: npm takes no provenance without",
    );
  }
  return findings;
}

if (import.meta.main) {
  const findings = releaseFindings(Deno.args[0] ?? "", {
    deno: await readManifest(repository),
    jsr: await readManifest(repository, "jsr.json"),
    changelog: await Deno.readTextFile(join(repository, "CHANGELOG.md")),
    repository: REPOSITORY,
  });
  for (const finding of findings) console.error(finding);
  Deno.exit(findings.length === 0 ? 0 : 1);
}

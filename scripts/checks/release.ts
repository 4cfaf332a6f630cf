/**
 * `deno task check:release TAG`: whether this commit can be published under this tag.
 *
 * @module
 */
import { readManifest } from "../lib/manifest.ts";
import { REPOSITORY } from "../lib/npm_manifest.ts";
import { join, repository } from "../lib/paths.ts";

/** What a release is made of: versions of the manifests, changelog, address of the repository. */
export interface Release {
  readonly deno: string;
  readonly jsr: string;
  readonly changelog: string;
  readonly repository: string;
}

/** What is missing for a tag. */
export function releaseFindings(tag: string, release: Release): string[] {
  const { deno, jsr, changelog, repository } = release;
  const needed: [boolean, string][] = [
    [tag === `v${deno}`, `the tag is "${tag}", the version in deno.json ${deno}`],
    [jsr === deno, `the version in jsr.json is ${jsr}, in deno.json ${deno}`],
    [changelog.includes(`\n## ${deno}\n`), `CHANGELOG.md has no section ${deno}`],
    [
      repository !== "",
      "REPOSITORY in scripts/lib/npm_manifest.ts is empty: npm takes no provenance without",
    ],
  ];
  return needed.filter(([holds]) => !holds).map(([, finding]) => finding);
}

if (import.meta.main) {
  const findings = releaseFindings(Deno.args[0] ?? "", {
    deno: (await readManifest()).version,
    jsr: (await readManifest(repository, "jsr.json")).version,
    changelog: await Deno.readTextFile(join(repository, "CHANGELOG.md")),
    repository: REPOSITORY,
  });
  for (const finding of findings) console.error(finding);
  Deno.exit(findings.length === 0 ? 0 : 1);
}

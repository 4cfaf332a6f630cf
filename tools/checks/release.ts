/** `deno task check:release TAG`: checks whether this commit can be published under a tag. */
import { readManifest } from "../manifest.ts";
import { REPOSITORY } from "../npm/manifest.ts";
import { join, repository } from "../paths.ts";

/** What a tag lacks; the check of the manifests covers jsr.json's version. */
export function releaseFindings(
  tag: string,
  version: string,
  changelog: string,
  address: string,
): string[] {
  const needed: [boolean, string][] = [
    [tag === `v${version}`, `the tag is "${tag}", the version in deno.json ${version}`],
    [
      new RegExp(`^## ${version.replaceAll(".", "\\.")} - \\d{4}-\\d\\d-\\d\\d$`, "m").test(
        changelog,
      ),
      `CHANGELOG.md has no section ${version} with its date`,
    ],
    [
      address !== "",
      "REPOSITORY in tools/npm/manifest.ts is empty: npm takes no provenance without",
    ],
  ];
  return needed.filter(([holds]) => !holds).map(([, finding]) => finding);
}

if (import.meta.main) {
  const { version } = await readManifest();
  const changelog = await Deno.readTextFile(join(repository, "CHANGELOG.md"));
  const findings = releaseFindings(Deno.args[0] ?? "", version, changelog, REPOSITORY);
  for (const finding of findings) console.error(finding);
  Deno.exit(findings.length === 0 ? 0 : 1);
}

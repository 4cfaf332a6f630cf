import { readdirSync } from "node:fs";
import { buildNpmPackage, packNpmPackage } from "../lib/npm_package.ts";
import { DRIZZLE_LINES, NPM_NAME, type NpmManifest } from "../lib/npm_manifest.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";
import { createProject, toolProject } from "../runtimes/npm_project.ts";
import { installation, installationFindings, megabytes } from "./installation.ts";
import type { Check } from "./check.ts";

const TOOLS = {
  "@arethetypeswrong/cli": "0.18.5",
  "publint": "0.3.25",
};

/** Paths of whoever built the package have no place in it. */
const LEAKS = /file:\/\/\/|\/(?:home|root|tmp|Users)\/\w|sourceMappingURL/;

/**
 * The npm package as its users get it: packed, installed into an empty project, and its command run; publint, attw and
 * `npm publish` have nothing to say. `test:runtimes` imports its subpaths and compiles with its types.
 */
export const npmPackage: Check = {
  name: "package",
  async run({ root, temporary }) {
    const { directory, manifest } = await buildNpmPackage(join(temporary, "npm"), root);
    const tarball = await packNpmPackage(directory, join(temporary, "tarball"));
    const project = join(temporary, "empty-project");
    const { install } = DRIZZLE_LINES.find(({ name }) => name === "0.45")!;
    await createProject(project, { [NPM_NAME]: `file:${tarball}`, "drizzle-orm": install });
    const installed = join(project, "node_modules", NPM_NAME);
    const tools = join(await toolProject("package", TOOLS), "node_modules/.bin");
    const brought = await installation(project, [NPM_NAME, "drizzle-orm"]);
    const contents = await readContents(installed);
    const steps: Record<string, () => Promise<unknown>> = {
      command: () => runCommands(project, manifest),
      publint: () => runInDirectory(root, join(tools, "publint"), ["run", tarball, "--strict"]),
      attw: () => runInDirectory(root, join(tools, "attw"), [tarball, "--profile", "esm-only"]),
      "npm publish": () =>
        runInDirectory(directory, "npm", ["publish", "--dry-run", "--ignore-scripts"]),
    };
    const findings = [
      ...contents.leaks,
      ...installationFindings(brought),
    ];
    for (const [name, step] of Object.entries(steps)) {
      await step().catch((error) => findings.push(name, ...error.message.split("\n")));
    }
    const { files, bytes } = contents;
    console.log(
      `${manifest.name}@${manifest.version}: ${files} files, ${bytes / 1000} kB unpacked`,
    );
    console.log(
      `an installation brings ${brought.length} packages besides, ${await megabytes(
        brought,
      )} MB: ` +
        brought.map(({ name, version }) => `${name}@${version}`).join(", "),
    );
    return findings;
  },
};

async function runCommands(project: string, { bin }: NpmManifest): Promise<void> {
  for (const name of Object.keys(bin ?? {})) {
    await runInDirectory(project, join(project, "node_modules/.bin", name), ["--help"]);
  }
}

async function readContents(directory: string) {
  const contents = { files: 0, bytes: 0, leaks: [] as string[] };
  for (const path of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const { isFile, size } = await Deno.stat(join(directory, path));
    if (!isFile) continue;
    contents.files++;
    contents.bytes += size;
    const text = await Deno.readTextFile(join(directory, path));
    if (/\.(?:js|ts|json)$/.test(path) && LEAKS.test(text)) {
      contents.leaks.push(`${path} names a path of its builder`);
    }
  }
  return contents;
}

import { globSync } from "node:fs";
import { npmPackage } from "../npm/package.ts";
import { DRIZZLE_LINES, MITTHOOKS, NPM_NAME } from "../npm/manifest.ts";
import { runProgram } from "../program.ts";
import { join } from "../paths.ts";
import { createProject, toolProject } from "../npm/project.ts";
import type { Check } from "./check.ts";

const TOOLS = { "@arethetypeswrong/cli": "0.18.5", "publint": "0.3.25" };

/** The builder's paths must not be in the package. */
const LEAKS = /file:\/\/\/|\/(?:home|root|tmp|Users)\/\w|sourceMappingURL/;

/** npm's record of an installed package. */
interface Installed {
  readonly version: string;
  readonly hasInstallScript?: boolean;
}

/**
 * The npm package as users get it: packed, installed into a project without drivers, with only its
 * own dependencies; its subpaths imported and its command run; no findings of publint, attw and
 * `npm publish`. `test:runtimes` compiles with its types.
 */
export const installation: Check = {
  name: "package",
  async run({ root, temporary }) {
    const { directory, manifest, tarball } = await npmPackage();
    const project = join(temporary, "empty-project");
    const { install } = DRIZZLE_LINES.find(({ name }) => name === "0.45")!;
    await createProject(project, { [NPM_NAME]: `file:${tarball}`, "drizzle-orm": install });
    const tools = join(await toolProject("package", TOOLS), "node_modules/.bin");
    const bin = join(project, "node_modules/.bin");
    const subpaths = Object.keys(manifest.exports).map((path) => NPM_NAME + path.slice(1));
    // The subpath that needs mitthooks reports that if mitthooks is not installed.
    const importAll = `for (const path of ${JSON.stringify(subpaths)}) {
      const says = await import(path).then((module) => Object.keys(module).join(), String);
      if (path.endsWith("/mitthooks") ? !says.includes("'${MITTHOOKS}'") : !/^[\\w,]+$/.test(says)) {
        throw new Error(path + ": " + says);
      }
    }`;
    const steps: readonly (readonly [cwd: string, command: string, ...args: string[]])[] = [
      // With an argument that is not a program's path.
      [project, "node", "--input-type=module", "--eval", importAll, "argument"],
      ...Object.keys(manifest.bin ?? {}).map((name) =>
        [project, join(bin, name), "--help"] as const
      ),
      [root, join(tools, "publint"), "run", tarball, "--strict"],
      [root, join(tools, "attw"), tarball, "--profile", "esm-only"],
      [directory, "npm", "publish", "--dry-run", "--ignore-scripts"],
    ];
    const lockfile = await Deno.readTextFile(join(project, "node_modules/.package-lock.json"));
    const installed = Object.entries<Installed>(JSON.parse(lockfile).packages)
      .map(([path, noted]) => ({ ...noted, name: path.replace(/^.*node_modules\//, "") }))
      .filter(({ name }) => ![NPM_NAME, "drizzle-orm"].includes(name));
    const findings = installed
      .filter(({ name, hasInstallScript }) => hasInstallScript || !(name in manifest.dependencies))
      .map(({ name }) => `${name} is installed, too, or runs a script when it is installed`);
    for (const [cwd, command, ...args] of steps) {
      await runProgram(cwd, command, args)
        .catch((error) => findings.push(...error.message.split("\n")));
    }
    for (const { types } of Object.values(manifest.exports)) {
      const text = await Deno.readTextFile(join(directory, types));
      if (!/^\/\*\*[^]*?@module/.test(text)) findings.push(`${types} does not say what it is`);
    }
    const paths = globSync(join(project, "node_modules", NPM_NAME, "**/*.{js,ts,json,md}"));
    let bytes = 0;
    for (const path of paths) {
      const text = await Deno.readTextFile(path);
      bytes += text.length;
      if (!path.endsWith(".md") && LEAKS.test(text)) {
        findings.push(`${path} names a path of its builder`);
      }
      // Otherwise an object with the public members would not be assignable to the class.
      if (path.endsWith(".d.ts") && text.includes("#private")) {
        findings.push(`${path} declares private fields`);
      }
    }
    console.log(
      `${manifest.name}@${manifest.version}: ${paths.length} files, ${bytes / 1000} kB unpacked`,
    );
    console.log(
      `an installation brings ${installed.length} packages besides: ` +
        installed.map(({ name, version }) => `${name}@${version}`).join(", "),
    );
    return findings;
  },
};

/** Compiles applications against each line of Drizzle. */
import { MITTHOOKS, NPM_NAME } from "../npm/manifest.ts";
import { join, repository } from "../paths.ts";
import { startProgram } from "../program.ts";
import { installedVersion, toolProject } from "../npm/project.ts";
import type { DrizzleLine } from "./shared.ts";
import { runSteps, type Target } from "./target.ts";

/** The oldest and newest supported compilers, by their names in the targets. */
const COMPILERS = { "TypeScript 5.9": "5.9.3", "TypeScript": "7.0.2" };
const LINES: readonly DrizzleLine[] = ["0.44", "0.45", "1.0"];
const RESOLUTIONS = {
  node16: ["--module", "node16"],
  bundler: ["--module", "esnext", "--moduleResolution", "bundler"],
};

/** Packages that use the column types of Drizzle 0.x, and mitthooks. */
const ECOSYSTEM = {
  "@auth/drizzle-adapter": "1.11.3",
  "drizzle-zod": "0.8.3",
  "zod": "4.1.12",
  [MITTHOOKS]: "0.3.0",
};

/** A line that must not compile, to show that errors of the application are found. */
const FAULT = "\nexport const fault: number = extensionInstanceId;\n";

/** Findings in the application and our declarations, not in those of Drizzle and its drivers. */
const OURS = new RegExp(`^(?!node_modules/)[^ ]+\\.ts\\(|^node_modules/${NPM_NAME}/|^error TS`);

/** Compiles with checks of declarations. The project has the packages that the file imports. */
async function assertFindings(
  compiler: string,
  project: string,
  file: string,
  resolution: keyof typeof RESOLUTIONS,
  expected = 0,
  appended = "",
): Promise<void> {
  const directory = await Deno.makeTempDir({ dir: project, prefix: "types-" });
  for (const name of [file, "tsconfig.json"]) {
    await Deno.copyFile(join(repository, "tests/consumers/types", name), join(directory, name));
  }
  await Deno.writeTextFile(join(directory, file), appended, { append: true });
  await Deno.writeTextFile(join(directory, "package.json"), '{ "type": "module" }');
  const { stdout } = await startProgram(join(compiler, "node_modules/.bin/tsc"), {
    args: ["-p", directory, "--pretty", "false", ...RESOLUTIONS[resolution]],
    cwd: project,
  }).ended;
  const findings = stdout.split("\n").filter((line) => OURS.test(line));
  if (findings.length === expected) return;
  throw new Error([`${findings.length} findings`, ...findings.slice(0, 20)].join("\n"));
}

export const typeTargets: readonly Target[] = Object.entries(COMPILERS).map(([name, version]) => ({
  name: `Types, ${name}`,
  shows: `an application on Drizzle ${LINES.join(", ")} with ${
    Object.keys(RESOLUTIONS).join(" and ")
  } resolution`,
  everyday: name === "TypeScript",
  async run(shared) {
    const compiler = await toolProject(name.replaceAll(/\W+/g, "-"), { typescript: version });
    const steps: Record<string, () => Promise<void>> = {
      "a fault on purpose is found": async () => {
        const project = await shared.project("0.45");
        await assertFindings(compiler, project, "consumer.ts", "bundler", 1, FAULT);
      },
      "types of others": async () => {
        const project = await shared.project("0.45", ECOSYSTEM);
        await assertFindings(compiler, project, "ecosystem.ts", "bundler");
      },
    };
    for (const line of LINES) {
      for (const resolution of ["node16", "bundler"] as const) {
        steps[`Drizzle ${line}, ${resolution}`] = async () =>
          assertFindings(compiler, await shared.project(line), "consumer.ts", resolution);
      }
    }
    return await runSteps(`typescript ${await installedVersion(compiler, "typescript")}`, steps);
  },
}));

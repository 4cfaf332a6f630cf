/**
 * Cells for types: an application compiled against each line of Drizzle.
 *
 * @module
 */
import { NPM_NAME } from "../../lib/npm_manifest.ts";
import { join, repository } from "../../lib/paths.ts";
import type { Cell } from "../cell.ts";
import type { DrizzleLine, Lab } from "../lab.ts";
import { installedVersion, toolProject } from "../npm_project.ts";
import { type Outcome, sumOfOutcomes } from "../outcome.ts";

/** Oldest and newest compiler that are supported, by the names of the cells. */
const COMPILERS = { "TypeScript 5.9": "5.9.3", "TypeScript": "7.0.2" } as const;
const LINES: readonly DrizzleLine[] = ["0.44", "0.45", "1.0"];
const RESOLUTIONS = ["node16", "bundler"] as const;

const CONSUMER = join(repository, "tests/consumers/types/consumer.ts");
/** A line that must not compile: it shows that errors of the application are found. */
const FAULT = "\nexport const fault: number = extensionInstanceId;\n";

/**
 * Compiles with library checking on. What it finds in the declarations of Drizzle and of its drivers is
 * theirs, so only findings in the application and in our own declarations count.
 */
export async function compileFile(
  compiler: string,
  directory: string,
  file: string,
  resolution: typeof RESOLUTIONS[number],
): Promise<string[]> {
  const config = join(directory, `tsconfig.${resolution}.json`);
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        target: "es2022",
        lib: ["ES2023", "DOM", "DOM.Iterable", "ESNext.Disposable"],
        module: resolution === "node16" ? "node16" : "esnext",
        moduleResolution: resolution,
        types: ["node"],
        skipLibCheck: false,
        noEmit: true,
      },
      files: [file],
    }),
  );
  const { stdout, stderr } = await new Deno.Command(join(compiler, "node_modules/.bin/tsc"), {
    args: ["-p", config, "--pretty", "false"],
    cwd: directory,
    stdin: "null",
  }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const ours = new RegExp(`^(?!node_modules/)[^ ]+\\.ts\\(|^node_modules/${NPM_NAME}/|^error TS`);
  return output.split("\n").filter((line) => ours.test(line));
}

async function compileLine(
  lab: Lab,
  compiler: string,
  line: DrizzleLine,
): Promise<Outcome[]> {
  const { directory, drizzle } = await lab.project(line);
  const outcomes: Outcome[] = [];
  await Deno.copyFile(CONSUMER, join(directory, "consumer.ts"));
  for (const resolution of RESOLUTIONS) {
    const findings = await compileFile(compiler, directory, "consumer.ts", resolution);
    const name = `types on drizzle-orm ${drizzle}, moduleResolution ${resolution}`;
    outcomes.push({
      passed: findings.length === 0 ? 1 : 0,
      failed: findings.length === 0 ? 0 : 1,
      failures: findings.length === 0 ? [] : [[name, ...findings.slice(0, 20)].join("\n")],
    });
  }
  return outcomes;
}

/** Shows that findings are found: compiles a fault. */
async function compileFault(lab: Lab, compiler: string): Promise<Outcome> {
  const { directory } = await lab.project("0.45");
  await Deno.writeTextFile(
    join(directory, "faulty.ts"),
    await Deno.readTextFile(CONSUMER) + FAULT,
  );
  const findings = await compileFile(compiler, directory, "faulty.ts", "bundler");
  if (findings.length === 1 && findings[0]!.startsWith("faulty.ts(")) {
    return { passed: 1, failed: 0, failures: [] };
  }
  const failure = `a fault on purpose is found: ${findings.join("\n") || "it was not"}`;
  return { passed: 0, failed: 1, failures: [failure] };
}

/** What is built on Drizzle 0.x, and is told of its columns by their types. */
const ECOSYSTEM = { "@auth/drizzle-adapter": "1.11.3", "drizzle-zod": "0.8.3", "zod": "4.1.12" };

/** Compiles an application of Auth.js' adapter and drizzle-zod. */
async function compileEcosystem(lab: Lab, compiler: string): Promise<Outcome> {
  const { directory } = await lab.project("0.45", ECOSYSTEM);
  const file = "ecosystem.ts";
  await Deno.copyFile(join(repository, "tests/consumers/types", file), join(directory, file));
  const findings = await compileFile(compiler, directory, file, "bundler");
  return findings.length === 0 ? { passed: 1, failed: 0, failures: [] } : {
    passed: 0,
    failed: 1,
    failures: [["types of others", ...findings.slice(0, 20)].join("\n")],
  };
}

export const typeCells: readonly Cell[] = Object.entries(COMPILERS).map(([name, range]) => ({
  name: `Types, ${name}`,
  shows: `an application on Drizzle ${LINES.join(", ")} with ${
    RESOLUTIONS.join(" and ")
  } resolution`,
  representative: name === "TypeScript",
  async run(lab) {
    const compiler = await toolProject(name.replaceAll(/\W+/g, "-"), { typescript: range });
    const outcomes: Outcome[] = [];
    outcomes.push(await compileFault(lab, compiler));
    for (const line of LINES) outcomes.push(...await compileLine(lab, compiler, line));
    outcomes.push(await compileEcosystem(lab, compiler));
    const version = await installedVersion(compiler, "typescript");
    return { ...sumOfOutcomes(outcomes), versions: `typescript ${version}` };
  },
}));

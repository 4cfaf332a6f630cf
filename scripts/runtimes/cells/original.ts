/**
 * An application that was written for the original package: compiled and run with it, then, unchanged, with
 * the tarball in its place.
 *
 * @module
 */
import postgres from "postgres";
import { NPM_NAME, TYPE_PACKAGES } from "../../lib/npm_manifest.ts";
import { runInDirectory } from "../../lib/npm_process.ts";
import { join, repository } from "../../lib/paths.ts";
import { extensionInstanceDdl } from "../../../tests/support/extension_instance.ts";
import type { Cell } from "../cell.ts";
import type { Lab } from "../lab.ts";
import { createProject, installedVersion, npmInstall, toolProject } from "../npm_project.ts";
import { type Outcome, outcomeOfStep, sumOfOutcomes } from "../outcome.ts";
import { nodeProgram } from "../programs.ts";
import { runRunner } from "../run_program.ts";

/** What the original asks of an application, in the versions of its time. */
const DEPENDENCIES = {
  [NPM_NAME]: "0.1.0",
  "drizzle-orm": "0.44.7",
  "pg": "8.16.3",
  "@weissaufschwarz/mitthooks": "0.3.0",
  ...TYPE_PACKAGES,
};

const COMPILER_OPTIONS = {
  strict: true,
  target: "es2022",
  module: "nodenext",
  moduleResolution: "nodenext",
  types: ["node"],
  rootDir: ".",
  outDir: "dist",
  // As a new project has it: the declarations of Drizzle do not hold without.
  skipLibCheck: true,
};

const IDS = {
  byOriginal: "00000000-0000-4000-8000-000000000001",
  byThis: "00000000-0000-4000-8000-000000000002",
};

async function compile(directory: string, sources: string): Promise<void> {
  const compiler = await toolProject("TypeScript", { typescript: "7.0.2" });
  const from = join(repository, "tests/consumers", sources);
  await Deno.mkdir(join(directory, sources), { recursive: true });
  for await (const { name } of Deno.readDir(from)) {
    await Deno.copyFile(join(from, name), join(directory, sources, name));
  }
  await Deno.writeTextFile(
    join(directory, "tsconfig.json"),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: [`${sources}/*.ts`] }),
  );
  await runInDirectory(directory, join(compiler, "node_modules/.bin/tsc"), ["-p", "."]);
}

async function createTable(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(extensionInstanceDdl);
    await sql`
      ALTER TABLE extension_instance ADD custom_field text, ADD counter integer DEFAULT 0`;
  } finally {
    await sql.end();
  }
}

async function run(lab: Lab): Promise<Outcome> {
  const directory = lab.path("application");
  const { path: node } = await nodeProgram(20);
  const url = await lab.createDatabase();
  await createTable(url);
  const env = {
    DATABASE_URL: url,
    EXTENSION_ID: "extension",
    ENCRYPTION_MASTER_PASSWORD: "the application's password",
    ENCRYPTION_SALT: "the application's salt",
  };
  const list = async (id: string) => {
    const { stdout } = await runInDirectory(directory, node, ["dist/original/main.js"], {
      ...env,
      INSTANCE_ID: id,
    });
    return stdout.trim();
  };
  const expected = (...ids: string[]) =>
    JSON.stringify(ids.map((id) => ({ id, scopes: ["a", "b"], active: true })));

  await createProject(directory, DEPENDENCIES);
  const outcomes = [
    await outcomeOfStep("compiles and runs with the original", async () => {
      await compile(directory, "original");
      const listed = await list(IDS.byOriginal);
      if (listed !== expected(IDS.byOriginal)) throw new Error(listed);
    }),
  ];
  const { tarball } = await lab.package();
  await npmInstall(directory, tarball);
  outcomes.push(
    await outcomeOfStep("compiles and runs, unchanged, with the tarball", async () => {
      await Deno.remove(join(directory, "dist"), { recursive: true });
      await compile(directory, "original");
      const listed = await list(IDS.byThis);
      if (listed !== expected(IDS.byOriginal, IDS.byThis)) throw new Error(listed);
    }),
    await outcomeOfStep(
      "compiles with what the migration asks for",
      () => compile(directory, "migrated"),
    ),
    await runRunner(lab, {
      command: node,
      args: ["dist/migrated/main.js"],
      cwd: directory,
      env: { ...env, INSTANCE_IDS: Object.values(IDS).join() },
    }),
  );
  return sumOfOutcomes(outcomes);
}

export const originalCell: Cell = {
  name: "Application of 0.1.0",
  shows: "compiles and runs unchanged on the same database; what is refused is refused loudly",
  representative: true,
  async run(lab) {
    const outcome = await run(lab);
    const drizzle = await installedVersion(lab.path("application"), "drizzle-orm");
    const { version } = await nodeProgram(20);
    return { ...outcome, versions: `Node ${version}, drizzle-orm ${drizzle}, pg 8.16.3` };
  },
};

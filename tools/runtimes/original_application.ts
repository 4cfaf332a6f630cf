/**
 * An application of the original package, compiled and run with it, then, unchanged, with the
 * tarball instead.
 */
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { integer, text } from "drizzle-orm/pg-core";
import postgres from "postgres";
import { NPM_NAME, TYPE_PACKAGES } from "../npm/manifest.ts";
import { npmPackage } from "../npm/package.ts";
import { runProgram } from "../program.ts";
import { join, repository } from "../paths.ts";
import { createProject, installedVersion, npmInstall, toolProject } from "../npm/project.ts";
import { nodeProgram } from "../npm/programs.ts";
import * as original from "../original.ts";
import { runSteps, type Target } from "./target.ts";

/** The original's peers, in the versions of its time. */
export const ORIGINAL = {
  [NPM_NAME]: "0.1.0",
  "drizzle-orm": "0.44.7",
  "pg": "8.16.3",
  "@weissaufschwarz/mitthooks": "0.3.0",
};

const BY_ORIGINAL = "00000000-0000-4000-8000-000000000001";
const BY_THIS = "00000000-0000-4000-8000-000000000002";

export const originalApplication: Target = {
  name: "Application of 0.1.0",
  shows: "compiles and runs unchanged on the same database; what is refused is refused loudly",
  everyday: true,
  async run(shared) {
    const directory = shared.path("application");
    const url = await shared.database();
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const key = original.buildEncryptionKey("password", "salt");
    const extensionInstances = original.buildExtensionInstanceTable(
      original.buildEncryptedTextColumn(key),
      { customField: text("custom_field"), counter: integer("counter").default(0) },
    );
    const schema = generateDrizzleJson({ context: original.context, extensionInstances });
    const migration = await generateMigration(generateDrizzleJson({}), schema);
    await sql.unsafe(migration.join(";")).finally(() => sql.end());
    await createProject(directory, { ...ORIGINAL, ...TYPE_PACKAGES });
    const compiler = await toolProject("TypeScript", { typescript: "7.0.2" });
    const node = await nodeProgram(20);
    const drizzle = await installedVersion(directory, "drizzle-orm");
    const copy = (name: string) =>
      runProgram(join(repository, "tests/consumers"), "cp", ["-R", name, directory]);
    await copy("tsconfig.json");
    await copy("original");

    /** Compiles the programs and runs one, which fails if it finds a difference. */
    const compileAndRun = async (sources: string, instanceIds: string[]) => {
      await runProgram(directory, join(compiler, "node_modules/.bin/tsc"), ["-p", "."]);
      await runProgram(directory, node.path, [`dist/${sources}/main.js`], {
        DATABASE_URL: url,
        EXTENSION_ID: "extension",
        ENCRYPTION_MASTER_PASSWORD: "the application's password",
        ENCRYPTION_SALT: "the application's salt",
        INSTANCE_IDS: instanceIds.join(),
      });
    };
    const versions = `Node ${node.version}, drizzle-orm ${drizzle}, pg ${ORIGINAL.pg}`;
    return await runSteps(versions, {
      "compiles and runs with the original": () => compileAndRun("original", [BY_ORIGINAL]),
      "compiles and runs, unchanged, with the tarball": async () => {
        await npmInstall(directory, (await npmPackage()).tarball);
        await compileAndRun("original", [BY_ORIGINAL, BY_THIS]);
      },
      "compiles and runs with what the migration asks for": async () => {
        await copy("migrated");
        await compileAndRun("migrated", [BY_ORIGINAL, BY_THIS]);
      },
    });
  },
};

/** The npm package's command on Node.js, with the kinds of schemas that drizzle-kit loads. */
import { assertEquals, assertMatch } from "@std/assert";
import { NPM_NAME } from "../tools/npm/manifest.ts";
import { npmPackage } from "../tools/npm/package.ts";
import { join } from "../tools/paths.ts";
import { createProject, npmInstall } from "../tools/npm/project.ts";
import { nodeProgram } from "../tools/npm/programs.ts";
import { startProgram } from "../tools/program.ts";
import { writeFolder } from "./support/project.ts";

const FILES = {
  "tsconfig.base.json": `{ // comments are allowed here
    "compilerOptions": { "baseUrl": ".", "paths": { "@/*": ["./src/*"] }, }
  }`,
  "tsconfig.json": '{ "extends": "./tsconfig.base.json" }',
  "src/env.ts": 'export const env = { password: "password", salt: "salt" };',
  "src/db/keys/index.ts": `
    import { buildEncryptedTextColumn, buildEncryptionKey } from "${NPM_NAME}/pg/encryption";
    import { env } from "@/env";
    export const secret = buildEncryptedTextColumn(buildEncryptionKey(env.password, env.salt));`,
  "src/db/kind.ts": 'export enum Kind { One = "one" }',
  "src/db/schema.ts": `
    import { pgTable, text } from "drizzle-orm/pg-core";
    import { secret } from "./keys";
    import { Kind } from "./kind.js";
    export const notes = pgTable(Kind.One, { id: text().primaryKey(), note: secret() });`,
  "drizzle.config.ts": `
    import { env } from "@/env";
    export default {
      dialect: "postgresql",
      schema: "./src/db/schema.ts",
      dbCredentials: { host: "127.0.0.1", port: 1, database: env.password },
    };`,
};

Deno.test("status on Node.js: schemas with aliases, enums and imports without extensions", async (t) => {
  const path = await writeFolder(FILES);
  try {
    const { manifest: { bin }, tarball } = await npmPackage();
    await createProject(path, {
      [NPM_NAME]: `file:${tarball}`,
      "drizzle-orm": "^0.45.0",
      postgres: "^3.4.0",
    });
    const manifest = JSON.parse(await Deno.readTextFile(join(path, "package.json")));
    const status = async (node: number, type: string) => {
      await Deno.writeTextFile(join(path, "package.json"), JSON.stringify({ ...manifest, type }));
      const { path: program } = await nodeProgram(node);
      const command = join(path, "node_modules", NPM_NAME, bin!["mitthooks-drizzle"]!);
      const { ended } = startProgram(program, { args: [command, "status"], cwd: path });
      const { code, stderr } = await ended;
      assertEquals(code, 1);
      return stderr.trim().split("\n").at(-1)!;
    };
    const kinds = [20, 24].flatMap((node) => [[node, "commonjs"], [node, "module"]] as const);
    const test = async (title: string, says: RegExp) => {
      for (const [node, type] of kinds) {
        await t.step(
          `Node ${node}, ${type}, ${title}`,
          async () => assertMatch(await status(node, type), says),
        );
      }
    };
    const remedy = /^status: Loading drizzle\.config\.ts: .* run npm install --save-dev jiti$/;
    await test("without jiti: the message names the remedy", remedy);
    await npmInstall(path, "jiti@2.7.0");
    await test("with jiti: it reaches the database", /could not be reached: connect ECONNREFUSED/);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

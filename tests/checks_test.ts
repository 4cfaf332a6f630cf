/** The checks of `deno task check` can fail: each runs on small packages with one fault. */
import { assertEquals, assertMatch } from "@std/assert";
import { isOurs } from "../tools/checks/doc_lint.ts";
import { portable } from "../tools/checks/portable.ts";

const MANIFEST = {
  name: "@example/package",
  exports: { ".": "./mod.ts", "./pg": "./pg/mod.ts", "./cli": "./cli.ts" },
  imports: { "left-pad": "npm:left-pad@1.3.0", "drizzle-orm": "npm:drizzle-orm@^0.45.0" },
};

const PORTABLE_FILES = {
  "mod.ts": 'export { value } from "./pg/mod.ts";\n',
  "pg/mod.ts": `/** Buffer, Deno, process.env */
interface Runtime {
  process?: { getBuiltinModule?: (name: string) => { scrypt?: unknown } | undefined };
}
export const value: unknown = () =>
  (globalThis as Runtime).process?.getBuiltinModule?.("node:crypto")?.scrypt;
`,
  // The command line is a program and may use Deno.
  "cli.ts": 'import "node:fs";\nconsole.log(Deno.args);\n',
};

/** The findings of the check "portable" in a package of these files. */
async function findings(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await Deno.makeTempDir();
  const temporary = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/pg`);
    await Deno.writeTextFile(`${root}/deno.json`, JSON.stringify(MANIFEST));
    for (const [path, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    return (await portable.run({ root, temporary })).join("\n");
  } finally {
    await Deno.remove(root, { recursive: true });
    await Deno.remove(temporary, { recursive: true });
  }
}

Deno.test("portable: only what every runtime has, with the place of violations", async () => {
  assertEquals(await findings(PORTABLE_FILES), "");
  const types = [
    "export const value: unknown = Buffer.from([1]);",
    "export const value: unknown = Deno.env;",
  ];
  const loads = [
    'export { readFile } from "node:fs";',
    "export const value: unknown = await Promise.resolve(1);",
    'export { default as value } from "npm:left-pad@1.3.0";',
  ];
  for (const faults of [types, loads]) {
    const files: Record<string, string> = { ...PORTABLE_FILES };
    faults.forEach((fault, index) => files[`pg/fault${index}.ts`] = `\n${fault}\n`);
    files["pg/mod.ts"] += faults.map((_, index) => `import "./fault${index}.ts";\n`).join("");
    const found = await findings(files);
    for (const [index, fault] of faults.entries()) {
      assertMatch(found, new RegExp(`pg/fault${index}\\.ts:2:`), fault);
    }
  }
});

Deno.test("doc-lint: ignores only declarations of other packages", () => {
  const reference = "error[private-type-ref]: public type 'A' references private type 'B'\n";
  assertEquals(isOurs(reference, "export type A = B;\nexport type B = string;"), true);
  assertEquals(isOurs(reference, 'import {\n  type B,\n} from "b";\nexport type A = B;'), false);
});

/** The checks of `deno task check` can fail: each runs on small packages with one fault. */
import { assertEquals, assertMatch } from "@std/assert";
import type { Check } from "../tools/checks/check.ts";
import { isOurs } from "../tools/checks/doc_lint.ts";
import { jsrManifest, manifests } from "../tools/checks/manifests.ts";
import { portable } from "../tools/checks/portable.ts";
import { releaseFindings } from "../tools/checks/release.ts";
import { faultsOf } from "../tools/checks/workflows.ts";

const MANIFEST = {
  name: "@example/package",
  version: "1.0.0",
  license: "MIT",
  exports: { ".": "./mod.ts", "./pg": "./pg/mod.ts", "./cli": "./cli.ts" },
  imports: { "left-pad": "npm:left-pad@1.3.0", "drizzle-orm": "npm:drizzle-orm@^0.45.0" },
  tasks: { test: "true" },
  publish: { include: ["mod.ts"] },
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

/** A check's findings in a package of these files. */
async function findings(
  check: Check,
  files: Readonly<Record<string, string>>,
  manifest: object = MANIFEST,
): Promise<string[]> {
  const root = await Deno.makeTempDir();
  const temporary = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/pg`);
    await Deno.writeTextFile(`${root}/deno.json`, JSON.stringify(manifest));
    for (const [path, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    return await check.run({ root, temporary });
  } finally {
    await Deno.remove(root, { recursive: true });
    await Deno.remove(temporary, { recursive: true });
  }
}

Deno.test("portable: only what every runtime has, with the place of violations", async () => {
  assertEquals(await findings(portable, PORTABLE_FILES), []);
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
    const found = (await findings(portable, files)).join("\n");
    for (const [index, fault] of faults.entries()) {
      assertMatch(found, new RegExp(`pg/fault${index}\\.ts:2:`), fault);
    }
  }
});

Deno.test("manifests: jsr.json is equal, and build and test dependencies have exact versions", async () => {
  const written = (changes: object, manifest = MANIFEST) => ({
    "jsr.json": JSON.stringify({ ...jsrManifest(manifest), ...changes }),
  });
  assertEquals(await findings(manifests, written({})), []);
  assertMatch((await findings(manifests, written({ version: "1.0.1" }))).join(), /^version: /);
  const ranged = { ...MANIFEST, imports: { ...MANIFEST.imports, "left-pad": "npm:left-pad@1" } };
  assertEquals(await findings(manifests, written({}, ranged), ranged), [
    "imports: left-pad has no exact version, but npm:left-pad@1",
  ]);
});

Deno.test("workflows: finds unknown tasks and inexact versions", () => {
  const good = ["run: npx --yes deno task test --all", "uses: actions/checkout@v5.0.0"];
  assertEquals(faultsOf(good.join("\n"), ["test"]), []);
  const bad = ["run: npm test", "run: npx --yes deno task test; curl", "uses: actions/checkout@v5"];
  assertEquals(faultsOf(bad.join("\n"), ["test"]).length, bad.length);
});

Deno.test("release: the version as tag, a changelog section, and a repository address", () => {
  const changelog = "# Changelog\n\n## 1.2.3 - 2026-01-31\n";
  assertEquals(releaseFindings("v1.2.3", "1.2.3", changelog, "https://example.com/a/b"), []);
  assertEquals(releaseFindings("1.2.3", "1.2.3", "## 1.2.30\n", "").length, 3);
  const undated = releaseFindings("v1.2.3", "1.2.3", "## 1.2.3\n", "https://example.com/a/b");
  assertEquals(undated, ["CHANGELOG.md has no section 1.2.3 with its date"]);
});

Deno.test("doc-lint: ignores only declarations of other packages", () => {
  const reference = "error[private-type-ref]: public type 'A' references private type 'B'\n";
  assertEquals(isOurs(reference, "export type A = B;\nexport type B = string;"), true);
  assertEquals(isOurs(reference, 'import {\n  type B,\n} from "b";\nexport type A = B;'), false);
});

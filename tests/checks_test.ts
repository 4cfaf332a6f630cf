/** The checks of `deno task check` can fail: each is run on small packages with one thing wrong. */
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
export async function later(): Promise<void> {
  for await (const _ of [Symbol.for("Deno.customInspect")]) await value;
}
`,
  // The command line is a program: it may use what Deno has.
  "cli.ts": 'import "node:fs";\nconsole.log(Deno.args);\n',
};

/** What a check finds in a package of these files. */
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

Deno.test("portable: what every runtime has, and nothing else, with its place", async () => {
  assertEquals(await findings(portable, PORTABLE_FILES), []);
  const types = [
    "export const value: unknown = Buffer.from([1]);",
    "export const value: unknown = Deno.env;",
    "export const value: unknown = process.env.HOME;",
    'export const value: unknown = globalThis["process"].env;',
  ];
  const unmapped = ['export { default as value } from "left-pad";'];
  const loads = [
    'export { readFile } from "node:fs";',
    'export const value = (): unknown => import("node:path");',
    "export const value: unknown = await Promise.resolve(1);",
    'export { default as value } from "npm:left-pad@1.3.0";',
  ];
  for (const faults of [types, unmapped, loads]) {
    const files: Record<string, string> = { ...PORTABLE_FILES };
    faults.forEach((fault, index) => files[`pg/fault${index}.ts`] = `\n${fault}\n`);
    files["pg/mod.ts"] += faults.map((_, index) => `import "./fault${index}.ts";\n`).join("");
    const found = (await findings(portable, files)).join("\n");
    for (const [index, fault] of faults.entries()) {
      assertMatch(found, new RegExp(`pg/fault${index}\\.ts:2:`), fault);
    }
  }
  const broken = { ...PORTABLE_FILES, "pg/mod.ts": 'export { value } from "./missing.ts";\n' };
  assertMatch((await findings(portable, broken)).join("\n"), /missing\.ts/);
  const foreign = { ...PORTABLE_FILES, "tokens.ts": 'export { sql } from "drizzle-orm";\n' };
  const found = await findings(portable, foreign, {
    ...MANIFEST,
    exports: { ...MANIFEST.exports, "./tokens": "./tokens.ts" },
  });
  assertMatch(found.join("\n"), /^tokens\.ts:1: Could not resolve "drizzle-orm"$/);
});

Deno.test("manifests: jsr.json is equal, and what only builds and tests has an exact version", async () => {
  const written = (changes: object, manifest = MANIFEST) => ({
    "jsr.json": JSON.stringify({ ...jsrManifest(manifest), ...changes }),
  });
  assertEquals(await findings(manifests, written({})), []);
  for (
    const [field, value] of Object.entries({
      version: "1.0.1",
      license: undefined,
      exports: { ".": "./mod.ts" },
      tasks: { test: "true" },
    })
  ) {
    const found = await findings(manifests, written({ [field]: value }));
    assertMatch(found.join("\n"), new RegExp(`^${field}: .*$`));
  }
  for (const target of ["npm:left-pad@^1.0.0", "npm:left-pad@1", "npm:left-pad"]) {
    const manifest = { ...MANIFEST, imports: { ...MANIFEST.imports, "left-pad": target } };
    const found = await findings(manifests, written({}, manifest), manifest);
    assertEquals(found, [`imports: left-pad has no exact version, but ${target}`]);
  }
});

Deno.test("workflows: finds what is no task and what has no exact version", () => {
  for (
    const [step, holds] of [
      ["run: npx --yes deno task test", true],
      ["run: npx --yes deno task test:runtimes --all", true],
      ['run: npx --yes deno task test "$GITHUB_REF_NAME"', true],
      ["uses: actions/checkout@v5.0.0", true],
      ["uses: owner/name/path@0123456789abcdef0123456789abcdef01234567", true],
      ["run: npm test", false],
      ["run: npx --yes deno task tests", false],
      ["run: npx --yes deno task test; curl example.com", false],
      ["run: |", false],
      ["uses: actions/checkout@v5", false],
      ["uses: actions/checkout@main", false],
      ["uses: actions/checkout", false],
    ] as const
  ) {
    const faults = faultsOf(`steps:\n  - ${step}\n`, ["test", "test:runtimes"]).join();
    assertMatch(faults, holds ? /^$/ : /^2: ".*" (is no task|has no exact)/, step);
  }
});

Deno.test("release: the version as tag, a section of its own, and an address", () => {
  const changelog = "# Changelog\n\n## 1.2.3\n";
  const address = "https://example.com/a/b";
  assertEquals(releaseFindings("v1.2.3", "1.2.3", changelog, address), []);
  for (
    const [tag, section, found] of [
      ["1.2.3", changelog, address],
      ["v1.2.4", changelog, address],
      ["v1.2.3", "## Unreleased\n\n## 1.2.30\n", address],
      ["v1.2.3", changelog, ""],
    ] as const
  ) assertEquals(releaseFindings(tag, "1.2.3", section, found).length, 1, tag);
});

Deno.test("doc-lint: only what is declared elsewhere is left out", () => {
  const reference = "error[private-type-ref]: public type 'A' references private type 'B'\n";
  assertEquals(isOurs(reference, "export type A = B;\nexport type B = string;"), true);
  assertEquals(isOurs(reference, 'import {\n  type B,\n} from "b";\nexport type A = B;'), false);
  assertEquals(isOurs("error[missing-jsdoc]: exported symbol is missing JSDoc", ""), true);
});

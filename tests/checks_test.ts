/** The checks of `deno task check` can fail: each is run on small packages with one thing wrong. */
import { assertEquals, assertMatch } from "@std/assert";
import type { Check } from "../scripts/checks/check.ts";
import { findingsIn, isAboutDependency } from "../scripts/checks/doc_lint.ts";
import { installationFindings } from "../scripts/checks/installation.ts";
import { jsrManifest, manifests } from "../scripts/checks/manifests.ts";
import { portable } from "../scripts/checks/portable.ts";
import { releaseFindings } from "../scripts/checks/release.ts";
import { faultsOf } from "../scripts/checks/workflows.ts";

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
  "pg/mod.ts": "/** Buffer, Deno, process.env */\nexport const value: string = 'Deno.env';\n",
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

Deno.test("portable: accepts modules that use what every runtime has", async () => {
  assertEquals(await findings(portable, PORTABLE_FILES), []);
});

Deno.test("portable: accepts the optional way to node:crypto", async () => {
  const pg = `interface Runtime {
  process?: { getBuiltinModule?: (name: string) => { scrypt?: unknown } | undefined };
}
export const value: unknown = () =>
  (globalThis as Runtime).process?.getBuiltinModule?.("node:crypto")?.scrypt;
export async function later(): Promise<void> {
  for await (const _ of []) await value;
}
`;
  assertEquals(await findings(portable, { ...PORTABLE_FILES, "pg/mod.ts": pg }), []);
});

Deno.test("portable: finds what a runtime may lack, with its place", async () => {
  const types = [
    "Buffer.from([1])",
    "Deno.env",
    "process.env.HOME",
    'globalThis["process"].env',
    "globalThis.process.getBuiltinModule",
  ].map((value) => `export const value: unknown = ${value};`);
  const loads = [
    'export { readFile } from "node:fs";',
    'export const value = (): unknown => import("node:path");',
    "export const value: unknown = await Promise.resolve(1);",
    'export { default as value } from "npm:left-pad@1.3.0";',
    'export { default as value } from "hono";',
  ];
  for (const faults of [types, loads]) {
    const files: Record<string, string> = { ...PORTABLE_FILES };
    faults.forEach((fault, index) => files[`pg/fault${index}.ts`] = `\n${fault}\n`);
    files["pg/mod.ts"] += faults.map((_, index) => `import "./fault${index}.ts";\n`).join("");
    const found = (await findings(portable, files)).join("\n");
    faults.forEach((fault, index) => {
      assertMatch(found, new RegExp(`pg/fault${index}\\.ts:2:`), fault);
    });
  }
});

Deno.test("portable: a module that is missing is no success", async () => {
  const files = { ...PORTABLE_FILES, "pg/mod.ts": 'export { value } from "./missing.ts";\n' };
  assertMatch((await findings(portable, files)).join("\n"), /missing\.ts/);
});

Deno.test("portable: a package without portable entry points is no success", async () => {
  const manifest = { ...MANIFEST, exports: { "./cli": "./cli.ts" } };
  assertEquals((await findings(portable, PORTABLE_FILES, manifest)).length, 1);
});

Deno.test("manifests: accepts an equal jsr.json and names the fields that differ", async () => {
  const written = (changes: object) => ({
    "jsr.json": JSON.stringify({ ...jsrManifest(MANIFEST), ...changes }),
  });
  assertEquals(await findings(manifests, written({})), []);
  for (
    const [field, value] of Object.entries({
      name: "@example/other",
      version: "1.0.1",
      license: undefined,
      exports: { ".": "./mod.ts" },
      imports: {},
      publish: { include: [] },
      tasks: { test: "true" },
    })
  ) {
    const found = await findings(manifests, written({ [field]: value }));
    assertEquals(found.length, 1, field);
    assertMatch(found[0] ?? "", new RegExp(`^${field}: `));
  }
});

Deno.test("manifests: what only builds and tests has an exact version", async () => {
  for (
    const target of ["npm:left-pad@^1.0.0", "npm:left-pad@1", "npm:left-pad", "jsr:@std/x@~1.0.0"]
  ) {
    const manifest = { ...MANIFEST, imports: { "left-pad": target } };
    const files = { "jsr.json": JSON.stringify(jsrManifest(manifest)) };
    const found = await findings(manifests, files, manifest);
    assertEquals(found, [`imports: left-pad has no exact version, but ${target}`]);
  }
});

Deno.test("workflows: finds what is no task and what has no exact version", () => {
  const workflow = (step: string) => `steps:\n  - ${step}\n`;
  for (
    const step of [
      "run: npx --yes deno task test",
      "run: npx --yes deno task test:runtimes --all",
      'run: npx --yes deno task test "$GITHUB_REF_NAME"',
      "uses: actions/checkout@v5.0.0",
      "uses: owner/name/path@0123456789abcdef0123456789abcdef01234567",
    ]
  ) assertEquals(faultsOf(workflow(step), ["test", "test:runtimes"]), [], step);
  for (
    const step of [
      "run: npm test",
      "run: npx --yes deno task tests",
      "run: npx --yes deno task test; curl example.com",
      "run: |",
      "uses: actions/checkout@v5",
      "uses: actions/checkout@main",
      "uses: actions/checkout",
    ]
  ) {
    assertMatch(
      faultsOf(workflow(step), ["test"]).join(),
      /^2: ".*" (is no task|has no exact)/,
      step,
    );
  }
});

Deno.test("release: one version, a section of its own, and an address", () => {
  const release = {
    deno: { version: "1.2.3" },
    jsr: { version: "1.2.3" },
    changelog: "# Changelog\n\n## 1.2.3\n",
    repository: "https://example.com/a/b",
  };
  assertEquals(releaseFindings("v1.2.3", release), []);
  for (
    const [tag, change] of [
      ["1.2.3", {}],
      ["v1.2.4", {}],
      ["", {}],
      ["v1.2.3", { jsr: { version: "1.2.2" } }],
      ["v1.2.3", { changelog: "## Unreleased\n\n## 1.2.30\n" }],
      ["v1.2.3", { repository: "" }],
    ] as const
  ) assertEquals(releaseFindings(tag, { ...release, ...change }).length, 1, tag);
});

Deno.test("installation: what is new, what is gone, what runs a script", () => {
  const installed = (name: string, hasInstallScript = false) => [
    { name, version: "1.0.0", bytes: 1, hasInstallScript },
  ];
  assertEquals(installationFindings(installed("a"), new Set(["a"])), []);
  assertEquals(installationFindings(installed("b"), new Set(["a"])).length, 2);
  assertEquals(installationFindings(installed("a", true), new Set(["a"])).length, 1);
});

Deno.test("doc-lint: only what is declared elsewhere is left out", () => {
  const finding = (code: string, line: string) =>
    `error[${code}]: public type 'A' references private type 'B'
  --> /package/mod.ts:42:1
   |
42 | export type A = B;
   | ^
   = hint: make the referenced type public or remove the reference
   |
 7 | ${line}
   | - this is the referenced type
   |
`;
  const ours = new Set(["7 export type B = string;"]);
  const output = "Warning: something\n" + finding("private-type-ref", "export type B = string;") +
    finding("private-type-ref", "export interface B {") +
    finding("missing-jsdoc", "export interface B {") + "error: Found 3 errors.\n";
  const found = findingsIn(output);
  assertEquals(found.map((text) => isAboutDependency(text, ours)), [false, true, false]);
});

/**
 * The npm package as its users get it: packed, installed into an empty project, every subpath imported, at
 * run time and in types, and the command run; publint and attw have nothing to say. Prints its sizes.
 *
 * @module
 */
import { buildNpmPackage, packNpmPackage } from "../lib/npm_package.ts";
import { DRIZZLE_LINES, NPM_NAME, type NpmManifest } from "../lib/npm_manifest.ts";
import { runInDirectory } from "../lib/npm_process.ts";
import { join } from "../lib/paths.ts";
import { bundle, endBundler } from "../runtimes/bundle.ts";
import { createProject, toolProject } from "../runtimes/npm_project.ts";
import { filesOf, installation, installationFindings, sizeOf } from "./installation.ts";
import type { Check } from "./check.ts";

const TOOLS = {
  "@arethetypeswrong/cli": "0.18.5",
  "publint": "0.3.25",
  "typescript": "5.9.3",
};

/** Packages that the size of what a user bundles does not count. */
const NOT_OURS = ["drizzle-orm", "drizzle-orm/*"];

/** Paths of whoever built the package have no place in it. */
const LEAKS = /file:\/\/\/|\/(?:home|root|tmp|Users)\/\w|sourceMappingURL/;

/** See above. */
export const npmPackage: Check = {
  name: "package",
  async run({ root, temporary }) {
    const { directory, manifest, missing } = await buildNpmPackage(join(temporary, "npm"), root);
    const tarball = await packNpmPackage(directory, join(temporary, "tarball"));
    const project = join(temporary, "empty-project");
    const { install } = DRIZZLE_LINES.find(({ name }) => name === "0.45")!;
    await createProject(project, { [NPM_NAME]: `file:${tarball}`, "drizzle-orm": install });
    const installed = join(project, "node_modules", NPM_NAME);
    const tools = join(await toolProject("package", TOOLS), "node_modules/.bin");
    const brought = await installation(project, [NPM_NAME, "drizzle-orm"]);
    const findings = [
      ...missing.map((name) => `${name} is missing`),
      ...await leaks(installed),
      ...await findingsOf("importing", () => importAll(project, manifest)),
      ...await findingsOf("command", () => runCommands(project, manifest)),
      ...await findingsOf("types", () => compileAll(project, manifest, join(tools, "tsc"))),
      ...await findingsOf(
        "publint",
        () => runInDirectory(root, join(tools, "publint"), ["run", tarball, "--strict"]),
      ),
      ...await findingsOf(
        "attw",
        () => runInDirectory(root, join(tools, "attw"), [tarball, "--profile", "esm-only"]),
      ),
      ...await findingsOf(
        "npm publish",
        () => runInDirectory(directory, "npm", ["publish", "--dry-run", "--ignore-scripts"]),
      ),
      ...installationFindings(brought),
    ];
    const { files, bytes } = await sizeOf(installed);
    const bundled = await bundledSize(project, manifest);
    console.log(
      `${manifest.name}@${manifest.version}: ${files} files, ${kilobytes(bytes)} unpacked; ` +
        `keys, schema and storage bundled and minified, without Drizzle: ${kilobytes(bundled)}`,
    );
    const total = brought.reduce((sum, { bytes }) => sum + bytes, 0);
    console.log(
      `an installation brings ${brought.length} packages besides, ${kilobytes(total)}: ` +
        brought.map(({ name, version }) => `${name}@${version}`).join(", "),
    );
    return findings;
  },
};

async function findingsOf(name: string, step: () => Promise<unknown>): Promise<string[]> {
  try {
    await step();
    return [];
  } catch (error) {
    return [name, ...(error instanceof Error ? error.message : String(error)).split("\n")];
  }
}

function specifiers({ exports }: NpmManifest): string[] {
  return Object.keys(exports).map((subpath) => `${NPM_NAME}${subpath.slice(1)}`);
}

async function importAll(project: string, manifest: NpmManifest): Promise<void> {
  await Deno.writeTextFile(
    join(project, "import.mjs"),
    `for (const specifier of ${JSON.stringify(specifiers(manifest))}) {
       const names = Object.keys(await import(specifier));
       if (names.length === 0) throw new Error(specifier + " exports nothing");
     }`,
  );
  await runInDirectory(project, "node", ["import.mjs"]);
}

async function runCommands(project: string, { bin }: NpmManifest): Promise<void> {
  for (const name of Object.keys(bin ?? {})) {
    await runInDirectory(project, join(project, "node_modules/.bin", name), ["--help"]);
  }
}

async function compileAll(project: string, manifest: NpmManifest, tsc: string): Promise<void> {
  const imports = specifiers(manifest).map((specifier, index) =>
    `import * as m${index} from ${JSON.stringify(specifier)};\n` +
    // A module without types would be any.
    `export const names${index}: [0] extends [1 & typeof m${index}] ? never : keyof typeof m${index} = ` +
    `null as unknown as keyof typeof m${index};`
  );
  await Deno.writeTextFile(join(project, "types.mts"), imports.join("\n"));
  const options = { strict: true, noEmit: true, module: "nodenext", skipLibCheck: true };
  await Deno.writeTextFile(
    join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: { ...options, lib: ["ES2023", "DOM", "ESNext.Disposable"], types: [] },
      files: ["types.mts"],
    }),
  );
  await runInDirectory(project, tsc, ["-p", "."]);
}

async function leaks(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of filesOf(directory)) {
    if (/\.(?:js|ts|json)$/.test(path) && LEAKS.test(await Deno.readTextFile(path))) {
      found.push(`${path.slice(directory.length + 1)} names a path of its builder`);
    }
  }
  return found;
}

async function bundledSize(project: string, manifest: NpmManifest): Promise<number> {
  const entry = join(project, "bundled.js");
  const names = ["buildEncryptionKey", "buildEncryptedTextColumn", "buildExtensionInstanceTable"];
  await Deno.writeTextFile(
    entry,
    `export { ${names.join()}, PgExtensionStorage, withEncryption } from "${manifest.name}/pg";`,
  );
  const sizes = await bundle({
    entries: { bundled: entry },
    outDir: join(project, "bundle"),
    packages: { project },
    external: NOT_OURS,
    minify: true,
  });
  await endBundler();
  return sizes["bundled.js"]!;
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`;
}

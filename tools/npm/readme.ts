/**
 * The README of the npm package: the repository's under npm's name, with the commands of Node.js
 * and Bun.
 */
import { NPM_NAME } from "./manifest.ts";

/** Makes editors and `npx tsc` check the quick start. */
const TSCONFIG = `echo '{ "compilerOptions": { "module": "preserve", "target": "esnext", ` +
  `"strict": true, "noEmit": true, "allowImportingTsExtensions": true, "types": ["node"], ` +
  `"skipLibCheck": true } }' > tsconfig.json`;

/**
 * Parts of Deno's commands and their counterparts; `PACKAGE` is this package with its exact
 * version.
 */
const COMMANDS: readonly (readonly [deno: RegExp, node: string, bun: string])[] = [
  [/^echo '.*' > deno\.json$/m, `npm init -y && npm pkg set type=module\n${TSCONFIG}`, TSCONFIG],
  [
    /^deno add jsr:\S+ (.*)$/m,
    "npm install PACKAGE $1\nnpm install --save-dev tsx typescript @types/node",
    "bun add PACKAGE $1\nbun add --dev typescript @types/node",
  ],
  [/deno run -A jsr:\S+\/cli/, "npx mitthooks-drizzle", "bunx mitthooks-drizzle"],
  [/deno run -A npm:/, "npx ", "bunx "],
  [/deno run -A --env-file /, "npx tsx --env-file=.env ", "bun "],
];

/** Sentences for readers of JSR, and their replacements for readers of npm. */
const SENTENCES: readonly (readonly [RegExp, string])[] = [
  [
    /On npm its name is [^.]*\./,
    "It continues version 0.1 of this package. On JSR its name is `jsr:NAME`, which `docs/` uses.",
  ],
  [/Node\.js and Bun: [^]*?(?=Add to)/, ""],
];

/**
 * Writes the README of the npm package.
 *
 * @param readme The repository's README.
 * @param source Name and version in deno.json.
 * @throws {Error} When the README lacks a text to be replaced, or has a command without a
 *   counterpart.
 */
export function npmReadme(readme: string, source: { name: string; version: string }): string {
  let text = readme;
  for (const [pattern, replacement] of SENTENCES) {
    if (!pattern.test(text)) throw new Error(`Writing npm's README: nothing is like ${pattern}`);
    text = text.replace(pattern, replacement.replace("NAME", source.name));
  }
  return text
    .replaceAll(
      /^```sh\n([^]*?)^```$/gm,
      (block, code: string) =>
        code.includes("deno task")
          ? block
          : `\`\`\`sh\n${forRuntime("Node.js", 1, code)}${forRuntime("Bun", 2, code)}\`\`\``,
    )
    .replaceAll("PACKAGE", `${NPM_NAME}@${source.version}`)
    .replaceAll(new RegExp(`(?<!jsr:|jsr\\.io/)${source.name}`, "g"), NPM_NAME)
    .replaceAll("`jsr:", "`");
}

/** A block's commands for another runtime, under its name. */
function forRuntime(name: string, index: 1 | 2, commands: string): string {
  let text = commands;
  for (const command of COMMANDS) {
    text = text.replaceAll(new RegExp(command[0], "gm"), command[index]);
  }
  if (/\bdeno\b/.test(text)) throw new Error(`Writing npm's README: nothing for ${name}: ${text}`);
  return `# ${name}\n${text.replaceAll(/(?<= )npm:/g, "")}`;
}

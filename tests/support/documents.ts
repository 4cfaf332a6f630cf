/** The documentation's pages and code blocks, for tests. */

import { join, repository } from "../../tools/paths.ts";

export interface Block {
  readonly language: string;
  readonly code: string;
}

export interface Page {
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

/** Reads the README and `docs/`. */
export async function readPages(): Promise<Page[]> {
  const paths = ["README.md"];
  for await (const { name } of Deno.readDir(join(repository, "docs"))) {
    if (name.endsWith(".md")) paths.push(`docs/${name}`);
  }
  return await Promise.all(
    paths.sort().map(async (path) => {
      const text = await Deno.readTextFile(join(repository, path));
      return { path, text, blocks: blocksOf(text) };
    }),
  );
}

export function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)]
    .map(([, language = "", code = ""]) => ({ language, code }));
}

/** The files in TypeScript blocks, by path; all pages together form one application. */
export function filesOf(pages: readonly Page[]): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { path, blocks } of pages) {
    for (const { language, code } of blocks) {
      if (language !== "ts") continue;
      const name = /^\/\/ (\S+\.ts)\n/.exec(code)?.[1];
      if (name === undefined) throw new Error(`${path}: a block names no file: ${code}`);
      if (files[name] !== undefined) throw new Error(`${path}: there is another ${name}`);
      files[name] = code;
    }
  }
  return files;
}

/** The files after a `diff` block, by path, as far as the block shows them. */
export function filesAfter(diff: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const part of diff.split(/^--- a\/.*\n/m).slice(1)) {
    const [header = "", ...lines] = part.split("\n");
    const path = /^\+\+\+ b\/(\S+)$/.exec(header)?.[1];
    if (path === undefined) throw new Error(`A diff names no file: ${header}`);
    files[path] = lines.filter((line) => !line.startsWith("-"))
      .map((line) => line.slice(1)).join("\n");
  }
  return files;
}

export function commandsOf(page: Page): string[] {
  return page.blocks.filter(({ language }) => language === "sh")
    .flatMap(({ code }) => code.trim().split("\n"));
}

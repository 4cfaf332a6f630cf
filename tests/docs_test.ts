/** The pages of the documentation: that they are found, and say what the sources say. */

import { assert, assertEquals } from "@std/assert";
import { dirname, join, repository } from "../scripts/lib/paths.ts";
import { STATUS } from "../webhooks/internal/responses.ts";
import { type Page, readPages } from "./support/documents.ts";

const pages = await readPages();
const page = (path: string) => pages.find((page) => page.path === path)!;

/** The languages whose blocks are run, checked, or drawn. */
const LANGUAGES = ["ts", "sh", "ini", "diff", "mermaid", "text"];

/** Messages that are not ours, but PostgreSQL's. */
const OF_OTHERS = ['type "context" does not exist'];

/** The text without its code blocks. */
const proseOf = ({ text }: Page) => text.replace(/^```[^]*?^```$/gm, "");

/** The anchors that GitHub gives to headings. */
function anchorsOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replace(/[^\p{L}\p{N}_\s-]/gu, "").trim().replace(/\s/g, "-")
  );
}

const linksOf = (page: Page) =>
  [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
    .filter((link) => !/^https?:/.test(link));

Deno.test("docs: every link leads somewhere", async () => {
  let count = 0;
  for (const from of pages) {
    for (const link of linksOf(from)) {
      count++;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? from.path : join(dirname(from.path), path);
      const found = await Deno.stat(join(repository, target)).catch(() => undefined);
      assert(found?.isFile, `${from.path}: ${link}`);
      if (anchor !== undefined) {
        assert(anchorsOf(page(target)).includes(anchor), `${from.path}: ${link}`);
      }
    }
  }
  assert(count > 50);
});

Deno.test("docs: the README links every page", () => {
  const linked = new Set(linksOf(page("README.md")).map((link) => link.split("#")[0]));
  assertEquals(pages.map(({ path }) => path).filter((path) => !linked.has(path)), ["README.md"]);
});

Deno.test("docs: pages are short", () => {
  const count = (text: string) => text.trimEnd().split("\n").length;
  for (const { path, text } of pages) {
    const written = text.replace(/<!-- (\w+):begin -->[^]*<!-- \1:end -->/g, "");
    // The benchmark's picture and table take about 20 lines of the README.
    const limit = path === "README.md" ? 180 : 160;
    assert(count(written) <= limit, `${path} has ${count(written)} lines of its own`);
  }
  assert(count(page("README.md").text) <= 200);
});

Deno.test("docs: every block is of a kind that is looked at", () => {
  for (const { path, blocks } of pages) {
    for (const { language, code } of blocks) {
      assert(LANGUAGES.includes(language), `${path}: ${language}: ${code}`);
    }
  }
});

Deno.test("docs: shell blocks stand where a test runs them", () => {
  const withCommands = pages.filter(({ blocks }) =>
    blocks.some(({ language }) => language === "sh")
  );
  assertEquals(withCommands.map(({ path }) => path), ["README.md", "docs/changing-keys.md"]);
});

Deno.test("docs: troubleshooting quotes messages that the sources have", async () => {
  const sources = await messagesOfSources();
  const headings = [...page("docs/troubleshooting.md").text.matchAll(/^### (.*)$/gm)];
  const quoted = headings.flatMap(([, heading]) => [...heading!.matchAll(/`([^`]+)`/g)])
    .map(([, message]) => message!);
  assert(quoted.length > 20);
  for (const message of quoted) {
    if (OF_OTHERS.includes(message)) continue;
    // What stands before a colon is often a constant of its own.
    for (const part of message.split(/…|: /).map((part) => part.trim())) {
      assert(sources.includes(part), `No source says: ${part}`);
    }
  }
});

Deno.test("docs: the responses are those of the webhook handler", () => {
  const rows = [...page("docs/webhooks.md").text.matchAll(/^\| (\d{3}) +\| `(\w+)`/gm)];
  const documented = new Map<string, Set<number>>();
  for (const [, status, code] of rows) {
    documented.set(code!, (documented.get(code!) ?? new Set()).add(Number(status)));
  }
  assertEquals(
    Object.fromEntries([...documented].map(([code, statuses]) => [code, [...statuses]]).sort()),
    Object.fromEntries(Object.entries(STATUS).map(([code, status]) => [code, [status]]).sort()),
  );
});

Deno.test("docs: the errors are all there", async () => {
  const source = await Deno.readTextFile(join(repository, "errors.ts"));
  const classes = [...source.matchAll(/^export class (\w+)/gm)].map(([, name]) => name!);
  const responses = /^(Signature|Webhook|UnknownPublicKey|PublicKeyUnavailable|Busy)/;
  const { text } = page("docs/encryption.md");
  assertEquals(
    classes.filter((name) => !responses.test(name) && !text.includes(`\`${name}\``)),
    [],
  );
  assert(classes.length > 10);
});

Deno.test("docs: files that the architecture names are there", async () => {
  const { text } = page("docs/architecture.md");
  const named = new Set([...text.matchAll(/\b((?:[\w-]+\/)*\w+\.ts)\b/g)].map(([, path]) => path!));
  const sources = (await sourceFiles()).map((path) =>
    `/${path.slice(join(repository, "/").length)}`
  );
  for (const path of named) {
    assert(sources.some((source) => source.endsWith(`/${path}`)), path);
  }
  assert(named.size > 20);
});

/** The string literals of the sources, put together where they are concatenated. */
async function messagesOfSources(): Promise<string> {
  const texts = await Promise.all((await sourceFiles()).map((path) => Deno.readTextFile(path)));
  return texts.join("\n").replace(/(["`])\s*\+\s*["`]/g, "");
}

async function sourceFiles(): Promise<string[]> {
  const found: string[] = [];
  const read = async (directory: string) => {
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      const path = join(directory, name);
      if (isDirectory) await read(path);
      else if (name.endsWith(".ts")) found.push(path);
    }
  };
  for (const name of ["pg", "webhooks", "tokens", "testing", "cli", "internal", "tests"]) {
    await read(join(repository, name));
  }
  return [...found, join(repository, "errors.ts")]
    .filter((path) => !path.includes(join(repository, "tests")) || /interoperability/.test(path));
}

/** The documentation's pages: their links work, and they match the sources. */

import { assert, assertEquals } from "@std/assert";
import { dirname, join, repository } from "../tools/paths.ts";
import { STATUS } from "../webhooks/internal/responses.ts";
import { type Page, readPages } from "./support/documents.ts";
import { readFolder } from "./support/project.ts";

const pages = await readPages();
const sources = await readSources();
const page = (path: string) => pages.find((page) => page.path === path)!;

/** The languages whose blocks are run, checked or rendered. */
const LANGUAGES = ["ts", "sh", "ini", "diff", "mermaid", "text"];

/** The pages whose commands run in quickstart_test.ts, readme_test.ts and cli_compare_test.ts. */
const WITH_COMMANDS = ["README.md", "docs/changing-keys.md", "docs/recovery.md"];

/** Messages of PostgreSQL and the runtimes. */
const OF_OTHERS = [
  'type "context" does not exist',
  "Cannot read properties of null (reading 'write')",
];

const proseOf = ({ text }: Page) => text.replace(/^```[^]*?^```$/gm, "");

/** GitHub's anchors of headings. */
function anchorsOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replace(/[^\p{L}\p{N}_\s-]/gu, "").trim().replace(/\s/g, "-")
  );
}

const linksOf = (page: Page) =>
  [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
    .filter((link) => !/^https?:/.test(link));

async function readSources(): Promise<Record<string, string>> {
  const found = { "errors.ts": await Deno.readTextFile(join(repository, "errors.ts")) };
  for (
    const folder of [
      "pg",
      "recovery",
      "webhooks",
      "sessions",
      "tokens",
      "testing",
      "cli",
      "internal",
    ]
  ) {
    for (const [path, text] of Object.entries(await readFolder(folder))) {
      Object.assign(found, { [`${folder}/${path}`]: text });
    }
  }
  return found;
}

Deno.test("docs: every link has a target", async () => {
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
  // Troubleshooting is searched by message, not read through.
  const most: Record<string, number> = { "README.md": 180, "docs/troubleshooting.md": 200 };
  for (const { path, text } of pages) {
    const ofPrograms = path === "README.md" ? "" : /<!-- (\w+):begin -->[^]*<!-- \1:end -->/g;
    const { length } = text.replace(ofPrograms, "").trimEnd().split("\n");
    assert(length <= (most[path] ?? 160), `${path} has ${length} lines`);
  }
});

Deno.test("docs: every block is of a tested kind", () => {
  for (const { path, blocks } of pages) {
    for (const { language, code } of blocks) {
      assert(LANGUAGES.includes(language), `${path}: ${language}: ${code}`);
      assert(language !== "sh" || WITH_COMMANDS.includes(path), `Nothing runs ${path}: ${code}`);
    }
  }
});

Deno.test("docs: troubleshooting quotes messages that the sources have", () => {
  // Joins concatenated literals.
  const messages = Object.values(sources).join("\n").replace(/(["`])\s*\+\s*["`]/g, "");
  const headings = page("docs/troubleshooting.md").text.match(/^### .*$/gm)!.join("\n");
  const quoted = [...headings.matchAll(/`([^`]+)`/g)].map(([, message]) => message!);
  assert(quoted.length > 20);
  for (const message of quoted.filter((message) => !OF_OTHERS.includes(message))) {
    // The part before a colon is often a separate constant.
    for (const part of message.split(/…|: /).map((part) => part.trim())) {
      assert(messages.includes(part), `No source says: ${part}`);
    }
  }
});

Deno.test("docs: the responses are those of the webhook handler", () => {
  const rows = [...page("docs/webhooks.md").text.matchAll(/^\| (\d{3}) +\| `(\w+)`/gm)];
  assertEquals(
    [...new Set(rows.map(([, status, code]) => `${code} ${status}`))].sort(),
    Object.entries(STATUS).map(([code, status]) => `${code} ${status}`).sort(),
  );
});

Deno.test("docs: the refusals are those of sessions", () => {
  const rows = [...page("docs/sessions.md").text.matchAll(/^\| (\d{3}) +\| `(\w+)`/gm)];
  const statuses = /const SESSION_STATUS[^]*?\n\};/.exec(sources["errors.ts"]!)![0];
  assertEquals(
    rows.map(([, status, code]) => `${code}: ${status}`).sort(),
    statuses.match(/ERR_\w+: \d+/g)!.sort(),
  );
});

Deno.test("docs: all errors are documented", () => {
  const classes = [...sources["errors.ts"]!.matchAll(/^export class (\w+)/gm)];
  const responses = /^(Session|Signature|Webhook|UnknownPublicKey|PublicKeyUnavailable|Busy)/;
  const { text } = page("docs/errors.md");
  const missing = classes.map(([, name]) => name!)
    .filter((name) => !responses.test(name) && !text.includes(`\`${name}\``));
  assertEquals(missing, []);
  assert(classes.length > 10);
});

Deno.test("docs: the architecture's files exist", async () => {
  const named = page("docs/architecture.md").text.match(/\b(?:[\w-]+\/)*\w+\.ts\b/g)!;
  const tests = Object.keys(await readFolder("tests")).map((path) => `tests/${path}`);
  const paths = [...Object.keys(sources), ...tests];
  assertEquals(
    named.filter((name) => !paths.some((path) => `/${path}`.endsWith(`/${name}`))),
    [],
  );
  assert(named.length > 20);
});

Deno.test("SECURITY.md: every protection names tests, and they exist", async () => {
  const document = await Deno.readTextFile(join(repository, "SECURITY.md"));
  const section = /^## Who can do what.*?\n([^]*?)^## /m.exec(document)![1]!;
  const missing: string[] = [];
  let count = 0;
  for (const item of section.split(/^- /m).slice(1)) {
    // A following paragraph belongs to the next attacker.
    const text = item.split("\n\n")[0]!.replaceAll(/\s+/g, " ").trim();
    const named = [...text.matchAll(/`(tests\/[^`]+)`: ((?:"[^"]+"(?:, )?)+)/g)];
    if (named.length === 0) missing.push(`no test for: ${text}`);
    for (const [, file, titles] of named) {
      const source = await Deno.readTextFile(join(repository, file!)).catch(() => "");
      for (const [title] of titles!.matchAll(/"[^"]+"/g)) {
        count++;
        const before = source.split(title).slice(0, -1);
        if (!before.some((text) => /\b(test\(\s*|name: )$/.test(text))) {
          missing.push(`${file}: ${title}`);
        }
      }
    }
  }
  assertEquals(missing, []);
  assert(count > 35);
});

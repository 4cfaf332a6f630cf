/** SECURITY.md names tests for what it says: they exist. */

import { assertEquals, assertGreater } from "@std/assert";

const root = new URL("../", import.meta.url);

/** A line of the document that says what protects, and the tests that it names. */
interface Protection {
  readonly text: string;
  readonly tests: { readonly file: string; readonly title: string }[];
}

/** The points of the section that says what protects. */
function protectionsOf(document: string): Protection[] {
  const section = /^## Who can do what.*?\n([^]*?)^## /m.exec(document)?.[1] ?? "";
  return section.split(/^- /m).slice(1).map((item) => {
    // A paragraph that follows belongs to the next one who could do something.
    const text = item.split("\n\n")[0]!.replaceAll(/\s+/g, " ").trim();
    const tests = [...text.matchAll(/`(tests\/[^`]+)`: ((?:"[^"]+"(?:, )?)+)/g)].flatMap(
      ([, file, titles]) =>
        [...titles!.matchAll(/"([^"]+)"/g)].map(([, title]) => ({ file: file!, title: title! })),
    );
    return { text, tests };
  });
}

/** Whether a file has a test of a title. */
function hasTest(source: string, title: string): boolean {
  const before = source.split(JSON.stringify(title)).slice(0, -1);
  return before.some((text) => /\b(test\(\s*|name: )$/.test(text));
}

async function missingIn(document: string): Promise<string[]> {
  const missing: string[] = [];
  for (const { text, tests } of protectionsOf(document)) {
    if (tests.length === 0) missing.push(`no test for: ${text}`);
    for (const { file, title } of tests) {
      const source = await Deno.readTextFile(new URL(file, root)).catch(() => "");
      if (!hasTest(source, title)) missing.push(`${file}: ${title}`);
    }
  }
  return missing;
}

Deno.test("SECURITY.md: every protection names tests, and they exist", async () => {
  const document = await Deno.readTextFile(new URL("SECURITY.md", root));
  assertEquals(await missingIn(document), []);
  assertGreater(protectionsOf(document).flatMap(({ tests }) => tests).length, 35);
});

Deno.test("SECURITY.md: a test that does not exist is noticed", async () => {
  const document = `## Who can do what, and what protects
- It is there. \`tests/session_test.ts\`: "no such
  test", "nor this"
- Nothing shows it.

**Somebody**
- Neither does a file that is gone. \`tests/gone.ts\`: "gone"

## What follows
`;
  assertEquals(await missingIn(document), [
    "tests/session_test.ts: no such test",
    "tests/session_test.ts: nor this",
    "no test for: Nothing shows it.",
    "tests/gone.ts: gone",
  ]);
});

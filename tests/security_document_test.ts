/** SECURITY.md names tests for what it says: they exist. */

import { assert, assertEquals } from "@std/assert";

const root = new URL("../", import.meta.url);

Deno.test("SECURITY.md: every protection names tests, and they exist", async () => {
  const document = await Deno.readTextFile(new URL("SECURITY.md", root));
  const section = /^## Who can do what.*?\n([^]*?)^## /m.exec(document)![1]!;
  const missing: string[] = [];
  let count = 0;
  for (const item of section.split(/^- /m).slice(1)) {
    // A paragraph that follows belongs to the next one who could do something.
    const text = item.split("\n\n")[0]!.replaceAll(/\s+/g, " ").trim();
    const named = [...text.matchAll(/`(tests\/[^`]+)`: ((?:"[^"]+"(?:, )?)+)/g)];
    if (named.length === 0) missing.push(`no test for: ${text}`);
    for (const [, file, titles] of named) {
      const source = await Deno.readTextFile(new URL(file!, root)).catch(() => "");
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

import { assert, assertEquals, assertMatch } from "@std/assert";
import { globSync } from "node:fs";
import { buildNpmPackage } from "../scripts/lib/npm_package.ts";
import { join } from "../scripts/lib/paths.ts";

Deno.test("the npm package: its declarations are of use, whichever compiler wrote them", async () => {
  const work = await Deno.makeTempDir();
  try {
    const { directory, manifest } = await buildNpmPackage(join(work, "package"));
    for (const [subpath, { types }] of Object.entries(manifest.exports)) {
      const text = await Deno.readTextFile(join(directory, types));
      assertMatch(text, /^\/\*\*(?:(?!\*\/)[^])*@module/, subpath);
      assertEquals(text.match(/@module/g)!.length, 1, subpath);
      assertMatch(text, /\bexport /, subpath);
    }
    for (const path of globSync("**/*.d.ts", { cwd: directory })) {
      // Or an object with the public members would not be accepted for the class.
      assert(!(await Deno.readTextFile(join(directory, path))).includes("#private"), path);
    }
  } finally {
    await Deno.remove(work, { recursive: true });
  }
});

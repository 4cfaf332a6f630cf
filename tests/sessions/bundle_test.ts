/** The bundle of a Worker that only checks sessions. */

import { assert, assertEquals } from "@std/assert";
import * as esbuild from "esbuild";
import { repository } from "../../tools/paths.ts";

Deno.test("sessions alone, jose included, are at most 40 kB, and need no database and no Node.js", async () => {
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: repository,
    entryPoints: ["sessions/mod.ts"],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    conditions: ["workerd", "worker"],
    tsconfigRaw: {},
  });
  await esbuild.stop();
  const packages = Object.keys(metafile.inputs).map((path) =>
    /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!node_modules)(?!.*node_modules)/.exec(path)?.[1]
  );
  assertEquals(new Set(packages), new Set(["jose", undefined]));
  const { length } = outputFiles[0]!.contents;
  assert(length <= 40_000, `${length} bytes`);
});

import { assertEquals } from "@std/assert";
import * as esbuild from "esbuild";

Deno.test("importing ./webhooks loads no package", async () => {
  const { metafile } = await esbuild.build({
    absWorkingDir: new URL("../..", import.meta.url).pathname,
    entryPoints: ["webhooks/mod.ts"],
    bundle: true,
    format: "esm",
    metafile: true,
    write: false,
  });
  await esbuild.stop();
  const ofPackages = Object.keys(metafile.inputs).filter((path) => path.includes("node_modules/"));
  assertEquals(ofPackages, []);
});

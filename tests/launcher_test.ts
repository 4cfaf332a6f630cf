/** What the test launcher promises: nothing stays behind, and tests that fail or hang fail the run. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { globSync } from "node:fs";
import { jsrHas } from "../tools/import_map.ts";
import { readManifest } from "../tools/manifest.ts";
import { join, repository } from "../tools/paths.ts";
import { poll } from "../tools/postgres/databases.ts";

/** A program with a directory, and a server or a process that may ignore polite requests. */
const PROGRAM = `
import { GuardedDirectory } from "${import.meta.resolve("../tools/guarded_directory.ts")}";
import { startServer } from "${import.meta.resolve("../tools/postgres/server.ts")}";
const directory = new GuardedDirectory();
if (Deno.args[1] === "server") await startServer({ directory });
const trap = Deno.args[1] === "stubborn process" ? "trap '' TERM; " : "";
directory.spawn("/bin/sh", { args: ["-c", trap + "sleep 1000 & wait"] });
const groups = (await Array.fromAsync(Deno.readDir(directory.path + "/groups")))
  .map(({ name }) => Number(name.split("-")[2]));
console.log(JSON.stringify({ path: directory.path, groups }));
if (Deno.args[0] === "close") {
  await directory.close();
  Deno.exit(0);
}
if (Deno.args[0] === "throw") throw new Error("uncaught");
setInterval(() => {}, 1000);
`;

/** Whether any process of a group still runs; one that has ended and waits to be noticed does not. */
function groupIsAlive(group: number): boolean {
  return globSync("/proc/[0-9]*/stat").some((path) => {
    try {
      // proc_pid_stat(5): after the name in parentheses come state, parent and process group.
      const [, state, id] = /.*\) (\S) \d+ (\d+)/.exec(Deno.readTextFileSync(path)) ?? [];
      return Number(id) === group && state !== "Z";
    } catch {
      return false;
    }
  });
}

for (
  const [end, company] of [
    ["close", "server"],
    ["close", "stubborn process"],
    ["throw", "process"],
    ["SIGINT", "server"],
    ["SIGKILL", "server"],
    ["SIGKILL", "stubborn process"],
  ] as const
) {
  Deno.test(`after ${end}: no directory and no ${company} stays behind`, async () => {
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(file, PROGRAM);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-config", file, end, company],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let output = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      output += text;
      if (output.includes("\n") && end.startsWith("SIG")) {
        const { path, groups } = JSON.parse(output);
        assert((await Deno.stat(path)).isDirectory);
        for (const group of groups) assert(groupIsAlive(group));
        child.kill(end as Deno.Signal);
      }
    }
    const { path, groups } = JSON.parse(output) as { path: string; groups: number[] };
    assertEquals((await child.status).success, end === "close");
    assertEquals(groups.length, company === "server" ? 2 : 1);
    const isGone = () => Deno.stat(path).then(() => false, () => true);
    await poll(isGone, { timeoutMs: 30_000 });
    for (const group of groups) await poll(() => !groupIsAlive(group));
    await Deno.remove(file);
  });
}

/** A small JSR: packages with one module each, under `/jsr/`. */
function serveJsr(modules: Readonly<Record<string, string>>): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const path = new URL(request.url).pathname;
    for (const [specifier, text] of Object.entries(modules)) {
      const [, name, version] = /^(@[^@]+)@(.+)$/.exec(specifier)!;
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
      const file = { size: text.length, checksum: `sha256-${encodeHex(digest)}` };
      const [scope, short] = name!.slice(1).split("/");
      const answers: Record<string, unknown> = {
        "meta.json": { scope, name: short, latest: version, versions: { [version!]: {} } },
        [`${version}_meta.json`]: { manifest: { "/mod.ts": file }, exports: { ".": "./mod.ts" } },
      };
      const answer = answers[path.slice(`/jsr/${name}/`.length)];
      if (path.startsWith(`/jsr/${name}/`) && answer !== undefined) return Response.json(answer);
      if (path === `/jsr/${name}/${version}/mod.ts`) return new Response(text);
    }
    // What a network that wants a log-in first answers to everything.
    return new Response("<html>Welcome</html>", { status: path.startsWith("/403") ? 403 : 200 });
  });
}

Deno.test("JSR: only a package's metadata with that version counts as an answer", async () => {
  await using server = serveJsr({ "@std/assert@1.0.19": "" });
  const base = `http://127.0.0.1:${server.addr.port}`;
  for (
    const [specifier, address, expected] of [
      ["jsr:@std/assert@1.0.19", `${base}/jsr`, true],
      ["jsr:@std/assert@1.0.19", `${base}/jsr/`, true],
      ["jsr:@std/assert@1.0.20", `${base}/jsr`, false],
      ["jsr:@std/encoding@1.0.19", `${base}/jsr`, false],
      ["jsr:@std/assert@1.0.19", base, false],
      ["jsr:@std/assert@1.0.19", `${base}/403`, false],
      ["jsr:@std/assert@1.0.19", "http://127.0.0.1:1", false],
    ] as const
  ) assertEquals(await jsrHas(specifier, address), expected, `${specifier} ${address}`);
});

/** Runs the launcher on a file of tests. */
async function launch(
  text: string,
  env: Record<string, string> = {},
): Promise<{ success: boolean; output: string }> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/x_test.ts`, text);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", join(repository, "scripts/test.ts"), `${directory}/x_test.ts`],
      // No server is needed, and none has to be started.
      env: { TEST_DATABASE_URL: Deno.env.get("TEST_SERVER_URL") ?? "", NO_COLOR: "1", ...env },
    }).output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the launcher takes from JSR what JSR has, and stand-ins for the rest", async () => {
  const { imports } = await readManifest();
  const assertOfJsr = "export const served = true;\nexport const assert = (): void => {};\n";
  const test = (served: string) =>
    `import * as assert from "@std/assert";
import * as encoding from "@std/encoding";
Deno.test("x", () => {
  const served = ["served" in assert, "served" in encoding].join(" ");
  if (served !== "${served}") throw new Error(served);
});
`;
  for (
    const [names, served, standIns] of [
      [["@std/assert"], "true false", "@deno/dnt, @std/encoding"],
      [["@std/assert", "@std/encoding", "@deno/dnt"], "true true", undefined],
    ] as const
  ) {
    const modules = names.map((name) => [imports[name]!.replace("jsr:", ""), assertOfJsr]);
    await using server = serveJsr(Object.fromEntries(modules));
    const { success, output } = await launch(test(served), {
      JSR_URL: `http://127.0.0.1:${server.addr.port}/jsr/`,
    });
    assert(success, output);
    assertEquals(/JSR does not have (.*): using/.exec(output)?.[1], standIns);
  }
});

Deno.test("the launcher hands on the status of the tests; one that hangs fails and says where", async () => {
  const hanging = `async (t) => {
    await t.step("outer", async (t) => {
      await t.step("inner", () => new Promise<void>(() => setInterval(() => {}, 9)));
    });
  }`;
  for (
    const [test, expected, says] of [
      ["() => {}", true, "Tests: passed"],
      ["() => { throw new Error('x'); }", false, "Tests: FAILED"],
      [hanging, false, `Running "x": not finished after 0.02 minutes, in the step outer > inner`],
    ] as const
  ) {
    const { success, output } = await launch(`Deno.test("x", ${test});`, {
      TEST_LIMIT_MINUTES: "0.02",
    });
    assertEquals(success, expected, output);
    assertStringIncludes(output, says);
  }
});

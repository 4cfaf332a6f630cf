/** What the test launcher promises: nothing stays behind, and `deno test` gets the right arguments. */
import { assert, assertEquals, assertFalse, assertRejects } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { jsrHas, standInImportMap } from "../scripts/lib/import_map.ts";
import { fromFileUrl } from "../scripts/lib/paths.ts";
import { everything, namesFiles } from "../scripts/lib/test_arguments.ts";
import { poll } from "./support/postgres.ts";

/** A program with a directory, and a server or a process that may ignore polite requests. */
const PROGRAM = `
import { GuardedDirectory } from ${
  JSON.stringify(import.meta.resolve("../scripts/lib/guarded_directory.ts"))
};
import { startServer } from ${
  JSON.stringify(import.meta.resolve("../scripts/lib/postgres_server.ts"))
};
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
if (Deno.args[0] === "exit") Deno.exit(3);
if (Deno.args[0] === "throw") throw new Error("uncaught");
if (Deno.args[0] === "reject") setTimeout(() => Promise.reject(new Error("uncaught")), 1);
setInterval(() => {}, 1000);
`;

/** Whether any process of a group still runs; one that has ended and waits to be noticed does not. */
async function groupIsAlive(group: number): Promise<boolean> {
  return (await processes()).some(({ state, processGroup }) =>
    processGroup === group && !state.startsWith("Z")
  );
}

async function processes(): Promise<{ state: string; processGroup: number }[]> {
  if (Deno.build.os !== "linux") {
    const { stdout } = await new Deno.Command("ps", { args: ["-axo", "stat=,pgid="] }).output();
    return new TextDecoder().decode(stdout).trim().split("\n").map((line) => {
      const [state = "", processGroup] = line.trim().split(/\s+/);
      return { state, processGroup: Number(processGroup) };
    });
  }
  // Small installations have no `ps`.
  const found: { state: string; processGroup: number }[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await Deno.readTextFile(`/proc/${name}/stat`).catch(() => "");
    // proc_pid_stat(5): after the name in parentheses come state, parent and process group.
    const [state = "", , processGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    found.push({ state, processGroup: Number(processGroup) });
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

for (
  const [end, company] of [
    ["close", "server"],
    ["close", "stubborn process"],
    ["exit", "process"],
    ["throw", "server"],
    ["reject", "process"],
    ["SIGINT", "server"],
    ["SIGTERM", "process"],
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
        assert(await exists(path));
        for (const group of groups) assert(await groupIsAlive(group));
        child.kill(end as Deno.Signal);
      }
    }
    const { path, groups } = JSON.parse(output) as { path: string; groups: number[] };
    assertEquals((await child.status).success, end === "close");
    assertEquals(groups.length, company === "server" ? 2 : 1);
    await poll(async () => !await exists(path), { timeoutMs: 30_000 });
    for (const group of groups) await poll(async () => !await groupIsAlive(group));
    await Deno.remove(file);
  });
}

Deno.test("arguments: files are told from options and their values", () => {
  for (const args of [[], ["--filter", "join"], ["--filter=join"], ["--", "tests/x_test.ts"]]) {
    assertFalse(namesFiles(args), args.join(" "));
  }
  for (const args of [["tests/a_test.ts"], ["tests/a_test.ts", "--filter", "x"], ["-q", "tests"]]) {
    assert(namesFiles(args), args.join(" "));
  }
  assertEquals(everything()[0], "--doc");
  assert(everything().includes("tests"));
});

Deno.test("import map: stands in for @std and keeps everything else", () => {
  const { imports } = standInImportMap(
    {
      name: "@example/package",
      exports: { ".": "./mod.ts", "./pg": "./pg/mod.ts" },
      imports: {
        "@std/assert": "jsr:@std/assert@^1.0.0",
        "drizzle-orm": "npm:drizzle-orm@^0.45.0",
        "#local": "./tests/local.ts",
      },
    },
    ["@std/assert"],
    "/somewhere",
  );
  assertEquals(imports, {
    "@std/assert": "file:///somewhere/tests/support/std_assert.ts",
    "drizzle-orm": "npm:drizzle-orm@^0.45.0",
    "drizzle-orm/": "npm:/drizzle-orm@^0.45.0/",
    "#local": "file:///somewhere/tests/local.ts",
    "@example/package": "file:///somewhere/mod.ts",
    "@example/package/pg": "file:///somewhere/pg/mod.ts",
  });
});

/** A small JSR: packages with one module each, under `/jsr/`. */
function serveJsr(modules: Readonly<Record<string, string>>): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const path = new URL(request.url).pathname;
    for (const [specifier, text] of Object.entries(modules)) {
      const [, scope, name, version] = /^@([^/]+)\/([^@]+)@(.+)$/.exec(specifier)!;
      const base = `/jsr/@${scope}/${name}`;
      const checksum = `sha256-${
        encodeHex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)))
      }`;
      if (path === `${base}/meta.json`) {
        return Response.json({ scope, name, latest: version, versions: { [version!]: {} } });
      }
      if (path === `${base}/${version}_meta.json`) {
        return Response.json({
          manifest: { "/mod.ts": { size: text.length, checksum } },
          exports: { ".": "./mod.ts" },
        });
      }
      if (path === `${base}/${version}/mod.ts`) return new Response(text);
    }
    // What a network that wants a log-in first answers to everything.
    return new Response("<html>Welcome</html>", { status: path.startsWith("/403") ? 403 : 200 });
  });
}

Deno.test("JSR: only a package's metadata with that version counts as an answer", async () => {
  await using server = serveJsr({ "@std/assert@1.0.19": "" });
  const base = `http://127.0.0.1:${server.addr.port}`;
  assertEquals(await jsrHas("jsr:@std/assert@1.0.19", `${base}/jsr`), true);
  assertEquals(await jsrHas("jsr:@std/assert@1.0.19", `${base}/jsr/`), true);
  assertEquals(await jsrHas("jsr:@std/assert@1.0.20", `${base}/jsr`), false);
  assertEquals(await jsrHas("jsr:@std/encoding@1.0.19", `${base}/jsr`), false);
  for (const other of [base, `${base}/403`, "http://127.0.0.1:1"]) {
    assertEquals(await jsrHas("jsr:@std/assert@1.0.19", other), false);
  }
  await assertRejects(() => jsrHas("jsr:@std/assert@^1.0.0", base), TypeError);
});

/** Runs the launcher on a file of tests. */
async function launch(
  text: string,
  env: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/x_test.ts`, text);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", fromFileUrl(LAUNCHER), `${directory}/x_test.ts`],
      // No server is needed, and none has to be started.
      env: { TEST_DATABASE_URL: Deno.env.get("TEST_SERVER_URL") ?? "", NO_COLOR: "1", ...env },
    }).output();
    const decoder = new TextDecoder();
    return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const LAUNCHER = new URL("../scripts/test.ts", import.meta.url);

Deno.test("the launcher takes from JSR what JSR has, and stand-ins for the rest", async () => {
  const { imports } = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  ) as { imports: Record<string, string> };
  const assertOfJsr = "export const served = true;\nexport const assert = (): void => {};\n";
  const specifier = (name: string) => imports[name]!.replace("jsr:", "");
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
    await using server = serveJsr(
      Object.fromEntries(names.map((name) => [specifier(name), assertOfJsr])),
    );
    const { code, output } = await launch(test(served), {
      JSR_URL: `http://127.0.0.1:${server.addr.port}/jsr/`,
    });
    assertEquals(code, 0, output);
    assertEquals(/JSR does not have (.*): using/.exec(output)?.[1], standIns);
  }
});

Deno.test("the launcher hands on the status of the tests", async () => {
  for (const [body, success] of [["", true], ["throw new Error('x')", false]] as const) {
    const { code } = await launch(`Deno.test("x", () => { ${body} });`);
    assertEquals(code === 0, success);
  }
});

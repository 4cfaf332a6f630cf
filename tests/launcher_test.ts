/** The test launcher leaves nothing behind, and failing or hanging tests fail the run. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodeHex } from "@std/encoding";
import { globSync } from "node:fs";
import { readManifest } from "../tools/manifest.ts";
import { join, repository } from "../tools/paths.ts";
import { poll } from "../tools/postgres/databases.ts";
import { runProgram, startProgram } from "../tools/program.ts";

/** A task with a server and with a program that ignores SIGTERM. */
const TASK = `
import { startServer } from "./tools/postgres/server.ts";
import { startProgram } from "./tools/program.ts";
import { runTask } from "./tools/run.ts";
await runTask(async (directory) => {
  await startServer({ directory });
  startProgram("/bin/sh", { args: ["-c", "trap '' TERM; sleep 1000 & wait"] });
  console.log(directory.path);
  if (Deno.args[0] === "exit") return 0;
  if (Deno.args[0] === "throw") setTimeout(() => { throw new Error("uncaught"); });
  return await new Promise((resolve) => setTimeout(resolve, 1_000_000, 0));
});
`;

const STATUS = { exit: 0, throw: 1, SIGINT: 130, SIGTERM: 143, SIGKILL: 137 };
const NOBODY = 65534;
const NAMELESS = 54321;

/** A folder with the task and everything it needs, for users who cannot read this repository. */
async function createTask(uid: number) {
  const folder = await Deno.makeTempDir({ dir: "/tmp" });
  await runProgram(repository, "cp", ["-R", "tools", Deno.execPath(), folder]);
  await Deno.writeTextFile(join(folder, "task.ts"), TASK);
  await runProgram(folder, "chmod", ["-R", "a+rX", "."]);
  const home = join(folder, "home");
  await Deno.mkdir(home);
  await Deno.chown(home, uid, uid);
  return {
    start: (end: string, mark: string) =>
      startProgram(join(folder, "deno"), {
        args: ["run", "-A", "--quiet", "--no-check", "--no-config", join(folder, "task.ts"), end],
        cwd: "/",
        env: { HOME: home, DENO_DIR: home, TMPDIR: home, MARK: mark, TEST_POSTGRES: "" },
        uid,
        gid: uid,
      }),
    /** The task's processes: PostgreSQL overwrites its environment, but not its arguments. */
    processes: (path: string, mark: string) =>
      globSync("/proc/[0-9]*/{environ,cmdline}").filter((file) => {
        try {
          const text = Deno.readTextFileSync(file);
          return text.includes(mark) || text.includes(path);
        } catch {
          return false;
        }
      }),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

for (const uid of Deno.uid() === 0 ? [0, NOBODY] : [Deno.uid()!]) {
  Deno.test(`a task leaves nothing behind, however it ends, as user ${uid}`, async () => {
    await using task = await createTask(uid);
    await Promise.all(
      Object.entries(STATUS).map(async ([end, status]) => {
        const mark = crypto.randomUUID();
        const { printed, kill, ended, isRunning } = task.start(end, mark);
        await poll(() => printed.stdout.includes("\n") || !isRunning(), { timeoutMs: 60_000 });
        const path = printed.stdout.trim();
        if (end.startsWith("SIG")) {
          assert((await Deno.stat(path)).isDirectory, printed.stderr);
          assert(task.processes(path, mark).length > 6, "the task, its programs and their guards");
          kill(end as Deno.Signal);
        }
        assertEquals((await ended).code, status, `${end}: ${printed.stderr}`);
        await poll(() => Deno.stat(path).then(() => false, () => true));
        await poll(() => task.processes(path, mark).length === 0);
      }),
    );
  });
}

if (Deno.uid() === 0) {
  Deno.test("a user without a name gets instructions", async () => {
    await using task = await createTask(NAMELESS);
    const { code, stderr } = await task.start("exit", "").ended;
    assertEquals(code, 1);
    assertStringIncludes(stderr, "add this one to /etc/passwd, or set TEST_DATABASE_URL");
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
    // A network that requires a log-in first answers everything this way.
    return new Response("<html>Welcome</html>");
  });
}

/** Runs the launcher on a test. */
async function launch(text: string, env: Record<string, string> = {}) {
  const file = await Deno.makeTempFile({ suffix: "_test.ts" });
  await Deno.writeTextFile(file, text);
  const { code, stdout, stderr } = await startProgram(Deno.execPath(), {
    args: ["run", "-A", join(repository, "scripts/test.ts"), file],
    // No server is needed, and none has to be started.
    env: { TEST_DATABASE_URL: Deno.env.get("TEST_SERVER_URL") ?? "", NO_COLOR: "1", ...env },
  }).ended;
  await Deno.remove(file);
  return { success: code === 0, output: stdout + stderr };
}

Deno.test("the launcher uses JSR's packages if available, and otherwise stand-ins", async () => {
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
      [["@std/assert"], "true false", "@std/encoding"],
      [["@std/assert", "@std/encoding"], "true true", undefined],
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

Deno.test("the launcher returns the tests' status; a hanging test fails and reports where", async () => {
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

/** The test launcher leaves nothing behind, and failing or hanging tests fail the run. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { globSync } from "node:fs";
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
        await poll(() => task.processes(path, mark).length === 0, { intervalMs: 100 });
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

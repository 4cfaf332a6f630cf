/**
 * Runs on Node, and runs the cases in workerd (through miniflare) or in `@edge-runtime/vm`. The job is JSON
 * in the variable EDGE_JOB; TAP goes to standard output, the values for other runtimes to a file.
 */
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";

const { host, script, compatibility, job, writeTo } = JSON.parse(process.env.EDGE_JOB);

async function openWorkerd() {
  const { Miniflare } = await import("miniflare");
  const worker = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: await readFile(script, "utf8") }],
    ...compatibility,
    bindings: { JOB: job },
  });
  const ask = async (path, init) => {
    const response = await worker.dispatchFetch(`http://worker${path}`, init);
    if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
    return await response.json();
  };
  return {
    list: () => ask("/"),
    run: (index) => ask(`/${index}`, { method: "POST" }),
    close: () => worker.dispose(),
  };
}

async function openEdgeVm() {
  const { EdgeVM } = await import("@edge-runtime/vm");
  const vm = new EdgeVM();
  vm.evaluate(await readFile(script, "utf8"));
  vm.context.job = job;
  return {
    list: () => vm.evaluate("listCases(job)"),
    run: async (index) => JSON.parse(await vm.evaluate(`runCase(job, ${Number(index)})`)),
    close: () => {},
  };
}

const runtime = host === "workerd" ? await openWorkerd() : await openEdgeVm();
const names = await runtime.list();
console.log(`1..${names.length}`);
let failed = 0;
let written;
for (let index = 0; index < names.length; index++) {
  let result;
  try {
    result = await runtime.run(index);
    written ??= result.written;
  } catch (error) {
    result = { error: String(error?.stack ?? error) };
  }
  const bad = result.error !== undefined || result.name !== names[index];
  if (bad) failed++;
  console.log(`${bad ? "not ok" : "ok"} ${index + 1} - ${names[index]}`);
  if (bad) console.log(String(result.error).replaceAll(/^/gm, "# "));
}
if (writeTo !== undefined) await writeFile(writeTo, JSON.stringify(written ?? null));
await runtime.close();
console.log(`# ${names.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** Runs on Node, and asks for the cases in workerd (through miniflare) or in `@edge-runtime/vm`. */
import { readFile } from "node:fs/promises";
import process from "node:process";

const job = JSON.parse(process.env.JOB);
const script = await readFile(job.script, "utf8");

async function openWorkerd() {
  const { Miniflare } = await import("miniflare");
  const worker = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: script }],
    compatibilityDate: "2026-01-01",
    compatibilityFlags: job.compatibilityFlags,
    bindings: { JOB: job },
  });
  return (url) => worker.dispatchFetch(url);
}

async function openEdgeVm() {
  const { EdgeVM } = await import("@edge-runtime/vm");
  const vm = new EdgeVM();
  vm.evaluate(script);
  Object.assign(vm.context, { env: { JOB: job } });
  return (url) => vm.evaluate(`serve(new Request(${JSON.stringify(url)}), env)`);
}

const request = await (job.host === "workerd" ? openWorkerd() : openEdgeVm());
const ask = async (path) => (await request(`http://edge/${path}`)).text();
const count = Number(await ask(""));
console.log(`1..${count}`);
let status = 0;
for (let index = 0; index < count; index++) {
  const report = await ask(index).catch((error) => `not ok ${index + 1} - ?\n# ${error}`);
  if (!report.startsWith("ok ")) status = 1;
  console.log(report);
}
process.exit(status);

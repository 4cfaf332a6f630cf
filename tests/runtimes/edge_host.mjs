/** Runs on Node, and requests the cases in workerd (through miniflare) or in `@edge-runtime/vm`. */
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
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
  // Past miniflare, whose requests cannot be cut.
  const { hostname, port, origin } = await worker.ready;
  const cutOff = (path, afterMs) =>
    new Promise((resolve) => {
      const socket = connect(port, hostname, () => {
        socket.write(`GET /${path} HTTP/1.1\r\nHost: edge\r\n\r\n`);
        setTimeout(() => resolve(socket.resetAndDestroy()), afterMs);
      });
    });
  const ask = async (path) => {
    const response = await fetch(`${origin}/${path}`, { signal: AbortSignal.timeout(20_000) });
    return await response.text();
  };
  const cutOffRequest = {
    name: "encryption: a request is cut off while it derives a key; the key is there for others",
    async run() {
      const cut = cutOff("key", 10);
      const texts = [ask("key"), ask("key"), cut.then(() => ask("key"))];
      const found = (await Promise.all(texts)).join();
      if (found !== "s3cr3t,s3cr3t,s3cr3t") throw new Error(`found ${found}`);
    },
  };
  return { request: (url) => worker.dispatchFetch(url), ofHost: [cutOffRequest] };
}

async function openEdgeVm() {
  const { EdgeVM } = await import("@edge-runtime/vm");
  const vm = new EdgeVM();
  vm.evaluate(script);
  Object.assign(vm.context, { env: { JOB: job } });
  const request = (url) => vm.evaluate(`serve(new Request(${JSON.stringify(url)}), env)`);
  return { request, ofHost: [] };
}

const { request, ofHost } = await (job.host === "workerd" ? openWorkerd() : openEdgeVm());
const ask = async (path) => (await request(`http://edge/${path}`)).text();
const count = Number(await ask(""));
console.log(`1..${count + ofHost.length}`);
let status = 0;
for (let index = 0; index < count; index++) {
  const report = await ask(index).catch((error) => `not ok ${index + 1} - ?\n# ${error}`);
  if (!report.startsWith("ok ")) status = 1;
  console.log(report);
}
for (const [index, { name, run }] of ofHost.entries()) {
  const [verdict, comment] = await run().then(
    () => ["ok", ""],
    (error) => ["not ok", `\n# ${error}`],
  );
  if (verdict !== "ok") status = 1;
  console.log(`${verdict} ${count + index + 1} - ${name}${comment}`);
}
process.exit(status);

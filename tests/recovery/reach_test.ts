/** Compares 100,000 instances with an API that takes 20 ms per answer, in bounded memory. */

import { assert, assertEquals } from "@std/assert";
import postgres from "postgres";
import {
  encryptionKey,
  extensionInstanceDdl,
  lastEventDdl,
} from "../support/extension_instance.ts";
import { createDatabase } from "../../tools/postgres/databases.ts";
import { startProgram } from "../../tools/program.ts";
import { EXTENSION_ID } from "./support.ts";

const INSTANCES = 100_000;
const LATENCY_MS = 20;
/** With free memory, V8 collects garbage late; a heap of this size limits it to what it needs. */
const HEAP_MB = 64;
/** Limit for the whole process, which needs 75 before it compares anything. */
const MAX_PEAK_MIB = 150;

const idOf = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

function instanceOf(number: number) {
  return {
    id: idOf(number),
    extensionId: EXTENSION_ID,
    contributorId: "contributor",
    aggregateReference: { id: `p-${number}`, aggregate: "project", domain: "project" },
    consentedScopes: ["project:read"],
    disabled: false,
    createdAt: "2026-01-01T00:00:00Z",
    pendingInstallation: false,
    pendingRemoval: false,
    webhookExecutionHalted: false,
  };
}

Deno.test("compare: 100,000 instances in bounded memory", async () => {
  await using database = await createDatabase();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  await sql.unsafe(extensionInstanceDdl + lastEventDdl);
  const secret = await encryptionKey.encrypt("s3cr3t");
  await sql`
    INSERT INTO extension_instance (id, "contextId", active, consented_scopes, secret)
    SELECT '00000000-0000-4000-8000-' || lpad(number::text, 12, '0'), 'p-' || number, true,
      '{project:read}', ${secret}
    FROM generate_series(0, ${INSTANCES - 1}) AS number`;
  await sql.end();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    await new Promise((resolve) => setTimeout(resolve, LATENCY_MS));
    const { pathname, searchParams } = new URL(request.url);
    const [limit, skip] = ["limit", "skip"].map((name) => Number(searchParams.get(name)));
    const isList = pathname === "/v2/extension-instances";
    const count = isList ? Math.max(0, Math.min(limit!, INSTANCES - skip!)) : 0;
    const items = Array.from({ length: count }, (_, index) => instanceOf(skip! + index));
    const total = String(isList ? INSTANCES : 0);
    return Response.json(items, { headers: { "X-Pagination-TotalCount": total } });
  });
  const program = new URL("./reach_program.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await startProgram(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      `--v8-flags=--max-heap-size=${HEAP_MB}`,
      program,
      database.url,
      `http://127.0.0.1:${server.addr.port}`,
    ],
  }).ended;
  await server.shutdown();
  assertEquals(code, 0, stderr);
  const found = JSON.parse(stdout);
  assertEquals([found.equal, found.counts], [true, { mstudio: INSTANCES, stored: INSTANCES }]);
  assert(found.peakMiB < MAX_PEAK_MIB, `${found.peakMiB} MiB`);
});

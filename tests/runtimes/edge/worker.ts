/**
 * A Worker that runs one case per request: `GET /` lists them, `POST /3` runs the fourth. It is bundled
 * with `database_cases.ts`, or with `no_database_cases.ts` where TCP is out of reach.
 *
 * @module
 */
import { edgeCases, type EdgeJob, written } from "./cases.ts";
import { databaseCases } from "./database_cases.ts";
import { runCases } from "../../conformance/report.ts";

interface Environment {
  JOB: EdgeJob & { url?: string; exchangeUrl?: string; rows?: string[] };
}

export default {
  async fetch(request: Request, { JOB }: Environment): Promise<Response> {
    const cases = [...edgeCases(JOB), ...databaseCases(JOB)];
    if (request.method === "GET") return Response.json(cases.map(({ name }) => name));
    const found = cases[Number(new URL(request.url).pathname.slice(1))];
    if (found === undefined) return Response.json({ name: "?", error: "no such case" });
    const [result] = await runCases([found]);
    return Response.json({ ...result, written: written.values });
  },
};

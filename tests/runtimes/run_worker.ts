/** Runs the cases in workerd with Node's modules, with postgres.js over Workers' TCP. */

import { type EdgeJob, serveCases } from "./edge_server.ts";
import { databaseCases, type DatabaseJob } from "../conformance/database_cases.ts";
import * as postgresJs from "./drivers/postgres_js.ts";

type Job = EdgeJob & DatabaseJob;

const drivers = { "postgres.js": postgresJs };

export default { fetch: serveCases((job: Job) => databaseCases(job, drivers)) };

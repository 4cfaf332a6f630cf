/**
 * The original's first webhook.
 *
 * @module
 */
// @ts-types="@types/pg"
import pg from "pg";
import { readColdJob, storeFirst } from "./cold_start.ts";
import { createOriginal } from "./original_stack.ts";

const job = readColdJob();
const pool = new pg.Pool({ connectionString: job.url });
const { handle } = createOriginal(pool, job);
await storeFirst(handle, job, pool);

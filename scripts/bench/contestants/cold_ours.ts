/**
 * This library's first webhook.
 *
 * @module
 */
// @ts-types="@types/pg"
import pg from "pg";
import { readColdJob, storeFirst } from "./cold_start.ts";
import { createOurs } from "./our_stack.ts";

const job = readColdJob();
const pool = new pg.Pool({ connectionString: job.url });
const { handle } = await createOurs(pool, job, false);
await storeFirst(handle, job, pool);

/**
 * Measures with a new process for each sample: cold starts and re-encryption.
 *
 * @module
 */
// @ts-types="@types/pg"
import pg from "pg";
import type { GuardedDirectory } from "../../tools/guarded_directory.ts";
import { lastOf, linesOf, readLine, startProcess } from "./contestant_process.ts";
import type { ColdJob } from "./contestants/cold_start.ts";
import { newStamp } from "./contestants/data.ts";
import { bodyOf, createSigner } from "./contestants/deliveries.ts";
import { Inspection } from "./contestants/inspection.ts";
import type { ContestantJob } from "./contestants/serve.ts";
import type { Databases } from "./databases.ts";
import type { Sample } from "./result.ts";
import type { Contestant } from "./rows.ts";
import type { Command } from "./runtimes.ts";

/** No process takes this long unless it hangs, in milliseconds. */
const COLD_LIMIT_MS = 30_000;
const REENCRYPTION_LIMIT_MS = 1_800_000;

/** Starts processes, and looks at what they did. */
export class FreshProcesses {
  readonly #directory: GuardedDirectory;
  readonly #databases: Databases;

  constructor(directory: GuardedDirectory, databases: Databases) {
    this.#directory = directory;
    this.#databases = databases;
  }

  /** Has a contestant's process do its work once. */
  async sample(command: Command, contestant: Contestant): Promise<Sample> {
    return contestant.program === "reencrypt"
      ? await this.#reencrypt(command, contestant.instances)
      : await this.#coldStart(command, await this.#databases.url(contestant.instances));
  }

  /** From the start of the process to its first webhook stored. */
  async #coldStart(command: Command, url: string): Promise<Sample> {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    try {
      const inspection = new Inspection(pool);
      await inspection.clear("extension_instance");
      const signer = await createSigner();
      const stamp = newStamp();
      const delivery = await signer.sign(bodyOf(0, stamp));
      const { serial, publicKey } = signer;
      const job: ColdJob = { url, serial, publicKey, delivery };
      const { ms, answer } = await this.#run(command, job, COLD_LIMIT_MS);
      if (answer.status !== 200) throw new Error(`Delivering a webhook: status ${answer.status}`);
      await inspection.count("extension_instance", 1);
      await inspection.secret(0, stamp);
      return { count: 1, ms };
    } finally {
      await pool.end();
    }
  }

  /** It measures itself, and counts what it has done. */
  async #reencrypt(command: Command, rows: number): Promise<Sample> {
    const url = await this.#databases.url(0);
    await this.#databases.fillReencrypted(url, rows);
    const job: ContestantJob = { url, instances: rows, lastEvents: false };
    const { answer } = await this.#run(command, job, REENCRYPTION_LIMIT_MS);
    if (answer.count !== rows) throw new Error(`Re-encrypting ${rows} rows: ${answer.count} done`);
    return answer;
  }

  async #run(command: Command, job: unknown, limitMs: number) {
    const start = performance.now();
    const child = startProcess(this.#directory, command, job);
    const errors = lastOf(child.stderr);
    const lines = linesOf(child.stdout);
    try {
      const line = await readLine(lines, limitMs);
      const ms = performance.now() - start;
      if (line === undefined) throw new Error(`the process ended\n${await errors}`);
      await child.stdin.close();
      const { success } = await child.status;
      if (!success) throw new Error(`the process failed\n${await errors}`);
      return { ms, answer: JSON.parse(line) };
    } catch (error) {
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended */ }
      throw error;
    } finally {
      await lines.cancel();
      await errors;
    }
  }
}

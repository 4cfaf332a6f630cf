/**
 * What every runtime runs, a database or not.
 *
 * @module
 */
import { aesGcm } from "./aes_gcm.ts";
import { encryption } from "./encryption.ts";
import { sessions } from "./sessions.ts";
import type { BoundCase } from "./tap.ts";
import { webhooks } from "./webhooks.ts";

/** What a runner is to do. */
export interface PortableJob {
  /** Whether the runtime has to have a scrypt of its own. */
  readonly nativeScrypt: boolean;
  /** Whether the runtime has to have an AES that computes at once. */
  readonly nativeAes: boolean;
}

export function portableCases(job: PortableJob): BoundCase[] {
  return [
    ...aesGcm(job.nativeAes).map(({ name, run }) => ({ name: `AES-GCM: ${name}`, run })),
    ...encryption(job).map(({ name, run }) => ({ name: `encryption: ${name}`, run })),
    ...sessions.map(({ name, run }) => ({ name: `sessions: ${name}`, run })),
    ...webhooks.map(({ name, run }) => ({ name: `webhooks: ${name}`, run })),
  ];
}

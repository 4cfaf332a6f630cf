/** The cases of every runtime, without a database. */
import { aesGcm } from "./aes_gcm.ts";
import { encryption } from "./encryption.ts";
import { sessions } from "./sessions.ts";
import type { BoundCase } from "./tap.ts";
import { webhooks } from "./webhooks.ts";

/** A runner's job. */
export interface PortableJob {
  /** Whether the runtime must have its own scrypt. */
  readonly nativeScrypt: boolean;
  /** Whether the runtime must have a synchronous AES. */
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

/**
 * What the tables hold, and what is written into them: the same for all contestants.
 *
 * @module
 */

export const PASSWORD = "a master password";
export const SALT = "a salt";
export const EXTENSION_ID = "2e3cf3c4-9df5-4e26-8a27-a2ee7b3d4ec6";

/** Connections of each contestant. They stay while others have their turn. */
export const POOL = { max: 16, idleTimeoutMillis: 0 } as const;

/** So many different secrets are in a table; more rows repeat them. */
export const SECRETS = 1_000;

/** Id of an instance. */
export function instanceId(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** The secret of an instance or item, as long as those of mStudio; `stamp` tells writes apart. */
export function secretOf(number: number, stamp = ""): string {
  return `${stamp}-${number % SECRETS}`.padStart(44, "0");
}

/** What a slice writes, to be recognised afterwards. */
export function newStamp(): string {
  return crypto.randomUUID().slice(0, 8);
}

/** Numbers of instances that a slice touches, in random order. */
export function randomNumbers(count: number, below: number): number[] {
  return Array.from({ length: count }, () => Math.floor(Math.random() * below));
}

/** An instance as the storages take it. */
export function instanceOf(number: number, stamp: string) {
  return {
    extensionInstanceId: instanceId(number),
    contextId: "7a9d8971-09b0-4c39-8c64-546b6e1875ce",
    consentedScopes: ["project:read", stamp],
    secret: secretOf(number, stamp),
  };
}

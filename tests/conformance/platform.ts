/**
 * What a runner tells the conformance suite about the runtime, and what it lends it.
 *
 * @module
 */

/** A runtime. */
export interface Platform {
  /** Whether it has a scrypt of its own (`node:crypto`); elsewhere scrypt-js derives. */
  readonly nativeScrypt: boolean;
  /** Puts something in the place of a property for as long as a function runs. */
  replacing<T>(target: object, property: string, value: unknown, run: () => Promise<T>): Promise<T>;
}

/** A case of the conformance suite. */
export interface PlatformCase {
  readonly name: string;
  run(platform: Platform): Promise<void>;
}

/** See {@linkcode Platform.replacing}; works wherever the property is configurable or writable. */
export async function replacing<T>(
  target: object,
  property: string,
  value: unknown,
  run: () => Promise<T>,
): Promise<T> {
  const own = Object.getOwnPropertyDescriptor(target, property);
  Object.defineProperty(target, property, { configurable: true, writable: true, value });
  try {
    return await run();
  } finally {
    if (own) Object.defineProperty(target, property, own);
    else Reflect.deleteProperty(target, property);
  }
}

/** The platform that this code runs on. */
export const platform: Platform = {
  nativeScrypt: typeof (globalThis as {
    process?: { getBuiltinModule?: (name: string) => { scrypt?: unknown } | undefined };
  }).process?.getBuiltinModule?.("node:crypto")?.scrypt === "function",
  replacing,
};

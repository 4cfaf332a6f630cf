/** A map that forgets what was not used for longest. */

/** Holds at most a given number of entries. */
export class LruMap<K, V> {
  readonly #limit: number;
  // A Map iterates in the order of insertion: the first key is the one that was not used for longest.
  readonly #entries: Map<K, V> = new Map<K, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The number of entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** Reads an entry, which counts as a use. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  /** Writes an entry, which counts as a use; makes room if need be. */
  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#limit) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }

  /** Forgets an entry. */
  delete(key: K): void {
    this.#entries.delete(key);
  }
}

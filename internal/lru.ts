/** A map with a limit, which evicts the least recently used entry. */

/** Holds at most `limit` entries. */
export class LruMap<K, V> {
  readonly #limit: number;
  // A Map iterates in insertion order, so the first key is the least recently used one.
  readonly #entries: Map<K, V> = new Map<K, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The number of entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** Reads an entry and marks it as used. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  /** Writes an entry and marks it as used; evicts another one if the map is full. */
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

  /** Removes an entry. */
  delete(key: K): void {
    this.#entries.delete(key);
  }
}

/** Random numbers that a seed gives again. */
export class Random {
  #state = 0x811c9dc5;

  /** @param seed Whatever tells this source from others: the run's seed first, then what it is for. */
  constructor(...seed: readonly (string | number)[]) {
    // FNV-1a
    for (const byte of new TextEncoder().encode(seed.join("/"))) {
      this.#state = Math.imul(this.#state ^ byte, 0x01000193);
    }
  }

  /** From 0 up to, but not including, 1 (mulberry32, in the public domain). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)]!;
  }

  digits(length: number): string {
    return Array.from({ length }, () => this.between(0, 15).toString(16)).join("");
  }
}

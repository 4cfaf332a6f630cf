/** Random numbers that a seed gives again. */

/** A source of random numbers. */
export class Random {
  #state: number;

  /** @param seed Whatever tells this source from others: the run's seed first, then what it is for. */
  constructor(...seed: readonly (string | number)[]) {
    this.#state = hash(seed.join("/"));
  }

  /** From 0 up to, but not including, 1 (mulberry32, in the public domain). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `min` to `max`. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** `true` in so many of one case. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of several. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)]!;
  }

  /** Some of several, in their order. */
  some<T>(choices: readonly T[]): T[] {
    return choices.filter(() => this.chance(0.5));
  }

  /** Text in hexadecimal digits. */
  digits(length: number): string {
    return Array.from({ length }, () => this.between(0, 15).toString(16)).join("");
  }

  /** A UUID. */
  uuid(): string {
    return [8, 4, 4, 4, 12].map((length) => this.digits(length)).join("-");
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value;
}

/** One run for all who want the same at the same time. */

interface Flight<T> {
  readonly result: Promise<T>;
  readonly begunAt: number;
}

/** The runs that are under way. */
export class SingleFlight<K, T> {
  readonly #limitMs: number;
  /** In the order in which they were begun. */
  readonly #flights: Map<K, Flight<T>> = new Map();

  /**
   * @param limitMs When a run that has not ended counts as dead, in milliseconds: on Cloudflare Workers one dies with the
   *   request that began it, and then never settles.
   */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The run that is under way, if there is one. */
  get(key: K): Promise<T> | undefined {
    const dead = performance.now() - this.#limitMs;
    for (const [oldest, { begunAt }] of this.#flights) {
      if (begunAt > dead) break;
      this.#flights.delete(oldest);
    }
    return this.#flights.get(key)?.result;
  }

  /** Joins the run that is under way, or begins one. */
  run(key: K, begin: () => Promise<T>): Promise<T> {
    const underWay = this.get(key);
    if (underWay !== undefined) return underWay;
    const flight: Flight<T> = { result: begin(), begunAt: performance.now() };
    this.#flights.set(key, flight);
    const end = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.result.then(end, end);
    return flight.result;
  }
}

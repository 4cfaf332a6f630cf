/** One run for all concurrent callers that want the same result. */

interface Flight<T> {
  readonly result: Promise<T>;
  readonly begunAt: number;
}

/** The runs in flight, by key. */
export class SingleFlight<K, T> {
  readonly #limitMs: number;
  /** Oldest first. */
  readonly #flights: Map<K, Flight<T>> = new Map();

  /**
   * @param limitMs After how many milliseconds a run counts as dead. On Cloudflare Workers a run
   *   dies with the request that started it and never settles.
   */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The run in flight, if there is one. */
  get(key: K): Promise<T> | undefined {
    const dead = performance.now() - this.#limitMs;
    for (const [oldest, { begunAt }] of this.#flights) {
      if (begunAt > dead) break;
      this.#flights.delete(oldest);
    }
    return this.#flights.get(key)?.result;
  }

  /** Joins the run in flight, or starts one. */
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

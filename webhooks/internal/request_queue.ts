/**
 * Who may ask the API for a public key, and when. Serials are the sender's choice, and anybody can send any, so requests
 * are few at once and few a second, and among those who wait
 *
 * 1. the serial that was asked for most often, without having had its turn, goes first: mStudio delivers again, and a
 *    serial made up for one request does not come again;
 * 2. of serials asked for equally often the newest goes first: in a flood the oldest are those whose senders gave up;
 * 3. when too many wait, the last of this order gives up its place.
 */

import { BusyError } from "../../errors.ts";
import { LruMap } from "../../internal/lru.ts";

const MAX_AT_ONCE = 4;
/** Requests a second that do not lead to a key, in the long run and in a burst. */
const RATE = 16;
const BURST = 32;
const MAX_WAITING = 1_024;
const MAX_REMEMBERED = 16_384;

/** The place of one serial. */
export class Turn {
  readonly serial: string;
  /** How often the serial was asked for since it last had its turn. */
  asked: number;
  /** Resolves when its request may be made. Rejects with a `BusyError` when it has to give way. */
  readonly granted: Promise<void>;
  /** Whether it has ended, one way or the other. */
  over = false;
  grantedAt: number | undefined;
  grant!: () => void;
  refuse!: (error: Error) => void;

  constructor(serial: string, asked: number) {
    this.serial = serial;
    this.asked = asked;
    this.granted = new Promise((resolve, reject) => {
      this.grant = resolve;
      this.refuse = reject;
    });
    // Those who waited may have left before it is refused.
    this.granted.catch(() => {});
  }
}

/** The queue in front of the API. */
export class RequestQueue {
  readonly #abandonedAfterMs: number;
  // In the order of arrival.
  readonly #waiting: Set<Turn> = new Set();
  readonly #granted: Set<Turn> = new Set();
  readonly #asked: LruMap<string, number> = new LruMap(MAX_REMEMBERED);
  #tokens = BURST;
  #countedAt: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param abandonedAfterMs When a request that was not reported as finished counts as dead. */
  constructor(abandonedAfterMs: number) {
    this.#abandonedAfterMs = abandonedAfterMs;
  }

  /** Queues up. */
  enter(serial: string): Turn {
    const turn = new Turn(serial, 1 + (this.#asked.get(serial) ?? 0));
    this.#asked.set(serial, turn.asked);
    this.#waiting.add(turn);
    this.#proceed();
    if (this.#waiting.size > MAX_WAITING) this.#refuseLast();
    return turn;
  }

  /** One more wants what a turn in the queue is for. */
  join(turn: Turn): void {
    if (turn.grantedAt !== undefined) return;
    turn.asked++;
    this.#asked.set(turn.serial, turn.asked);
  }

  /** Nobody wants it any more, and no request was made. */
  leave(turn: Turn): void {
    // What the request would have cost.
    if (this.#granted.has(turn)) this.#tokens++;
    this.#end(turn);
  }

  /** Its request came to an end. */
  finish(turn: Turn, { gotKey }: { gotKey: boolean }): void {
    // A serial that has a key is not made up, and not asked for again.
    if (gotKey) this.#tokens = Math.min(BURST, this.#tokens + 1);
    this.#asked.delete(turn.serial);
    this.#end(turn);
  }

  /** Ends the turns whose requests died without a word, as on Cloudflare Workers with the delivery that made them. */
  endAbandoned(): void {
    const before = performance.now() - this.#abandonedAfterMs;
    for (const turn of this.#granted) {
      if ((turn.grantedAt ?? 0) < before) {
        turn.over = true;
        this.#granted.delete(turn);
      }
    }
  }

  #end(turn: Turn): void {
    turn.over = true;
    this.#waiting.delete(turn);
    this.#granted.delete(turn);
    this.#proceed();
  }

  #proceed(): void {
    clearTimeout(this.#timer);
    this.endAbandoned();
    this.#refill();
    while (this.#waiting.size > 0 && this.#granted.size < MAX_AT_ONCE && this.#tokens >= 1) {
      const turn = this.#first();
      this.#tokens--;
      this.#waiting.delete(turn);
      this.#granted.add(turn);
      turn.grantedAt = performance.now();
      turn.grant();
    }
    if (this.#waiting.size === 0) return;
    const waitMs = this.#granted.size < MAX_AT_ONCE
      ? (1 - this.#tokens) * 1_000 / RATE
      : this.#abandonedAfterMs;
    this.#timer = setTimeout(() => this.#proceed(), Math.ceil(waitMs));
  }

  #refill(): void {
    const now = performance.now();
    const sinceMs = now - (this.#countedAt ?? now);
    this.#tokens = Math.min(BURST, this.#tokens + sinceMs * RATE / 1_000);
    this.#countedAt = now;
  }

  #first(): Turn {
    let first: Turn | undefined;
    for (const turn of this.#waiting) {
      if (first === undefined || turn.asked >= first.asked) first = turn;
    }
    return first as Turn;
  }

  #refuseLast(): void {
    let last: Turn | undefined;
    for (const turn of this.#waiting) {
      if (last === undefined || turn.asked < last.asked) last = turn;
    }
    if (last === undefined) return;
    last.over = true;
    this.#waiting.delete(last);
    last.refuse(new BusyError(`more than ${MAX_WAITING} others are being asked for`));
  }
}

/**
 * Who may ask the API for a public key, and when. Serials are the sender's choice, and anybody can send any, so requests
 * are few at once and few a second, and among those who wait
 *
 * 1. the serial that waited most often, without having had its turn, goes first: mStudio delivers again, and a serial
 *    made up for one request does not come again. However many want it at the same time, it is one wait: a stranger
 *    could send each of them as often;
 * 2. of serials that waited equally often the newest goes first: in a flood the oldest are those whose senders gave up;
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
  /** How often the serial has waited since it last had its turn. */
  readonly waits: number;
  /** Resolves when its request may be made. Rejects with a `BusyError` when it has to give way. */
  readonly granted: Promise<void>;
  /** Whether it has ended, one way or the other. */
  over = false;
  grantedAt: number | undefined;
  grant!: () => void;
  refuse!: (error: Error) => void;

  constructor(serial: string, waits: number) {
    this.serial = serial;
    this.waits = waits;
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
  readonly #forget: (turn: Turn) => void;
  // In the order of arrival.
  readonly #waiting: Set<Turn> = new Set();
  readonly #granted: Set<Turn> = new Set();
  readonly #waits: LruMap<string, number> = new LruMap(MAX_REMEMBERED);
  #tokens = BURST;
  #countedAt: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param abandonedAfterMs When a request that was not reported as finished counts as dead.
   * @param forget Is told of the turns whose requests died.
   */
  constructor(abandonedAfterMs: number, forget: (turn: Turn) => void) {
    this.#abandonedAfterMs = abandonedAfterMs;
    this.#forget = forget;
  }

  /** Queues up. */
  enter(serial: string): Turn {
    const turn = new Turn(serial, 1 + (this.#waits.get(serial) ?? 0));
    this.#waits.set(serial, turn.waits);
    this.#waiting.add(turn);
    this.#proceed();
    if (this.#waiting.size > MAX_WAITING) this.#refuseLast();
    return turn;
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
    this.#waits.delete(turn.serial);
    this.#end(turn);
  }

  /** Ends the turns whose requests died without a word, as on Cloudflare Workers with the delivery that made them. */
  endAbandoned(): void {
    const before = performance.now() - this.#abandonedAfterMs;
    for (const turn of this.#granted) {
      if ((turn.grantedAt ?? 0) < before) {
        turn.over = true;
        this.#granted.delete(turn);
        this.#forget(turn);
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
      if (first === undefined || turn.waits >= first.waits) first = turn;
    }
    return first as Turn;
  }

  #refuseLast(): void {
    let last: Turn | undefined;
    for (const turn of this.#waiting) {
      if (last === undefined || turn.waits < last.waits) last = turn;
    }
    if (last === undefined) return;
    last.over = true;
    this.#waiting.delete(last);
    last.refuse(new BusyError(`more than ${MAX_WAITING} others are being asked for`));
  }
}

/** The random life of one instance, determined by the seed. */

import type { Delivery, Faults, SimulatedInstance, SimulatedMstudio } from "../../testing/mod.ts";
import type { State, ToldEvent } from "./model.ts";

/**
 * Time limit of an attempt in milliseconds: short, so that attempts often end before their work.
 */
export const ATTEMPT_TIMEOUT_MS = 1_500;

const SCOPES = ["project:read", "project:write", "größe:ändern", "db:*", '"quoted", {braces}'];
const VARIANTS = ["small", "large", "NULL", "", null];

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Reproducible random numbers (mulberry32, seeded by FNV-1a; both in the public domain). */
export function randomOf(seed: string) {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(seed)) state = Math.imul(state ^ byte, 0x01000193);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    between,
    chance: (probability: number) => next() < probability,
    pick: <T>(choices: readonly T[]): T => choices[between(0, choices.length - 1)]!,
  };
}

export class InstanceRun {
  readonly #instance: SimulatedInstance;
  readonly #random: ReturnType<typeof randomOf>;
  readonly #told: Omit<ToldEvent, "attempts">[] = [];
  readonly #queued: Promise<void>[] = [];
  #state: State;
  #oldest = Infinity;
  #newest = -Infinity;

  /** @param skewed Whether clocks may differ. */
  constructor(
    readonly mstudio: SimulatedMstudio,
    readonly id: string,
    seed: number,
    readonly skewed: boolean,
  ) {
    this.#random = randomOf(`${seed} ${id}`);
    const { pick, between } = this.#random;
    const kind = pick(["customer", "project"] as const);
    // Few contexts, so that each has several instances.
    const context = { id: `${kind}-${between(1, 5)}`, kind };
    const secret = this.#drawSecret();
    this.#state = { contextId: context.id, context: kind, ...this.#drawChange(), secret };
    this.#instance = mstudio.instance({ id, context, secret, ...this.#change() });
  }

  /** Runs the life, and waits until all events are delivered or dropped. */
  async run(): Promise<void> {
    const { chance, between, pick } = this.#random;
    await this.#tell("add", chance(0.7));
    for (let left = between(2, 10); left > 0; left--) {
      const kind = pick(["update", "update", "rotate"] as const);
      // Some updates change nothing.
      if (kind === "rotate") this.#state = { ...this.#state, secret: this.#drawSecret() };
      else if (chance(0.8)) this.#state = { ...this.#state, ...this.#drawChange() };
      await this.#tell(kind, chance(0.6));
    }
    if (chance(0.6)) {
      // Drops queued events, unless the last one was awaited.
      await this.#tell("remove", chance(0.8));
      // An attacker recorded its addition.
      if (chance(0.7)) await this.#replay((sent) => sent[0]);
    }
    await Promise.all(this.#queued);
  }

  /** The sender's view of the events. */
  told(): ToldEvent[] {
    const groups: Delivery[][] = [];
    const byRequest = new Map<string, Delivery[]>();
    const again = ({ late, replay }: Delivery) => Number(late || replay);
    for (const delivery of this.#sent().toSorted((one, other) => again(one) - again(other))) {
      if (!byRequest.has(delivery.requestId)) {
        if (delivery.attempt === 1) groups.push([]);
        byRequest.set(delivery.requestId, groups.at(-1)!);
      }
      byRequest.get(delivery.requestId)!.push(delivery);
    }
    // A removal directly follows an event that was dropped before its first attempt.
    while (groups.length < this.#told.length) groups.splice(-1, 0, []);
    return this.#told.map((told, index) => ({ ...told, attempts: groups[index]! }));
  }

  #sent(): Delivery[] {
    return this.mstudio.deliveries.filter(({ instanceId }) => instanceId === this.id);
  }

  #drawSecret(): string {
    const { between } = this.#random;
    return Array.from({ length: between(1, 64) }, () => between(0, 9)).join("");
  }

  #drawChange(): Pick<State, "active" | "variantKey" | "consentedScopes"> {
    const { chance, pick } = this.#random;
    const consentedScopes = SCOPES.filter(() => chance(0.5));
    return { active: chance(0.6), variantKey: pick(VARIANTS), consentedScopes };
  }

  #change() {
    const { active: enabled, variantKey, consentedScopes } = this.#state;
    return { enabled, variantKey: variantKey ?? undefined, consentedScopes };
  }

  #drawFaults(): Faults {
    const { between, chance } = this.#random;
    const times = (probability: number) => chance(probability) ? between(1, 2) : 0;
    const behind = this.skewed && chance(0.3);
    return {
      duplicate: times(0.25),
      dropResponse: times(0.2),
      forge: times(0.05),
      tamper: times(0.05),
      arriveLateMs: Array.from(
        { length: times(0.15) },
        () => ATTEMPT_TIMEOUT_MS + between(20, 1_500),
      ),
      clockSkewMs: () => this.#stamp(behind && chance(0.25)) - Date.now(),
    };
  }

  /**
   * Events of equal times are indistinguishable, so there are none. An event stamped before its
   * predecessor must be refused, and is retried.
   */
  #stamp(behind: boolean): number {
    const stamp = behind && this.#oldest < Infinity
      ? this.#oldest - this.#random.between(5, 500)
      : Math.max(Date.now(), this.#newest + 5);
    this.#oldest = Math.min(this.#oldest, stamp);
    this.#newest = Math.max(this.#newest, stamp);
    return stamp;
  }

  /** Sends an event, `awaited` until it is accepted; something may happen in between. */
  async #tell(kind: ToldEvent["kind"], awaited: boolean): Promise<void> {
    const told = { kind, state: this.#state, acknowledged: false };
    this.#told.push(told);
    const options = { faults: this.#drawFaults() };
    const deliver = {
      add: () => this.#instance.add(options),
      update: () => this.#instance.update(this.#change(), options),
      rotate: () => this.#instance.rotateSecret(told.state.secret, options),
      remove: () => this.#instance.remove(options),
    };
    const settled = deliver[kind]().then(
      () => void (told.acknowledged = true),
      (error) => {
        if (error?.code !== "ERR_DROPPED") throw error;
      },
    );
    settled.catch(() => {});
    this.#queued.push(settled);
    if (awaited) await settled;
    const { between, chance, pick } = this.#random;
    while (chance(0.25)) await (chance(0.6) ? this.#replay(pick) : pause(between(0, 300)));
  }

  /**
   * Replays an earlier request, if there was one, until it is answered; the sender does not repeat
   * it.
   */
  async #replay(pick: (sent: Delivery[]) => Delivery | undefined): Promise<void> {
    const original = pick(this.#sent().filter(({ replay }) => !replay));
    for (let answered = original === undefined; !answered; await pause(100)) {
      const response = await this.mstudio.replay(original!).catch((error) => {
        if (error?.code !== "ERR_NO_RESPONSE") throw error;
      });
      answered = response !== undefined && response.status < 500;
    }
  }
}

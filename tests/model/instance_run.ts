/** The life of one instance, all of it drawn from the seed. */

import type { Delivery, Faults, SimulatedInstance, SimulatedMstudio } from "../../testing/mod.ts";
import type { State, ToldEvent } from "./model.ts";
import { Random } from "./random.ts";
import { senderClock } from "./sender_clock.ts";

/** How long an attempt may take, in milliseconds: short, so that attempts often end before their work does. */
export const ATTEMPT_TIMEOUT_MS = 1_500;

/** How far the clock of a straggler is ahead, in milliseconds: further than any other. */
const STRAGGLER_AHEAD_MS = 60_000;

const SCOPES = ["project:read", "project:write", "größe:ändern", "db:*", '"quoted", {braces}'];
const VARIANTS = ["small", "large", "NULL", ""];

export interface InstanceSettings {
  readonly mstudio: SimulatedMstudio;
  readonly seed: number;
  /** Whether the clocks of some instances differ. */
  readonly skewed: boolean;
  /** How far all clocks are ahead. */
  readonly offsetMs: () => number;
}

export class InstanceRun {
  readonly id: string;
  readonly #mstudio: SimulatedMstudio;
  readonly #instance: SimulatedInstance;
  readonly #random: Random;
  readonly #stampNext: ReturnType<typeof senderClock>;
  readonly #told: Omit<ToldEvent, "attempts">[] = [];
  readonly #queued: Promise<void>[] = [];
  /** The times of stragglers: the sender's log does not tell them from attempts. */
  readonly #stragglers = new Set<string>();
  #state: State;

  constructor({ mstudio, seed, skewed, offsetMs }: InstanceSettings, index: number) {
    this.id = `instance-${index}`;
    const random = this.#random = new Random(seed, "life", index);
    const clock = new Random(seed, "clock", index);
    this.#stampNext = senderClock(skewed && clock.chance(0.3) ? clock : undefined, offsetMs);
    this.#mstudio = mstudio;
    const context = random.pick(["customer", "project"] as const);
    // Contexts are few, so that several instances come and go in each.
    const contextId = `${context}-${random.between(1, 5)}`;
    this.#state = { contextId, context, ...this.#drawChange(), secret: random.digits(32) };
    this.#instance = mstudio.instance({
      id: this.id,
      context: { id: contextId, kind: context },
      secret: this.#state.secret,
      ...this.#change(),
    });
  }

  /** Lives it, and waits until all events are delivered or dropped. */
  async run(): Promise<void> {
    const random = this.#random;
    await this.#tell("add", random.chance(0.7));
    for (let left = random.between(2, 10); left > 0; left--) {
      const kind = random.pick(["update", "update", "rotate"] as const);
      if (kind === "rotate") {
        this.#state = { ...this.#state, secret: random.digits(random.between(1, 64)) };
      } else if (random.chance(0.8)) { // Some updates tell what is known already.
        this.#state = { ...this.#state, ...this.#drawChange() };
      }
      await this.#tell(kind, random.chance(0.6));
    }
    if (random.chance(0.6)) {
      // What is queued for it is dropped, unless the last event was waited for.
      const awaited = random.chance(0.8);
      await this.#tell("remove", awaited);
      if (awaited && random.chance(0.5)) await this.#untilAnswered(() => this.#straggle());
      // Somebody recorded how it was added.
      if (random.chance(0.7)) {
        const isStored = ({ responseCode }: Delivery) => responseCode === "STORED";
        await this.#replay((sent) => sent.find(isStored) ?? sent[0]);
      }
    }
    await Promise.all(this.#queued);
  }

  /** What the sender saw. */
  told(): ToldEvent[] {
    const groups: Delivery[][] = [];
    const byRequest = new Map<string, Delivery[]>();
    const again = ({ late, replay }: Delivery) => Number(late || replay);
    for (const delivery of this.#sent().toSorted((one, other) => again(one) - again(other))) {
      if (delivery.url.includes("dry-run")) continue;
      let group = byRequest.get(delivery.requestId);
      if (group === undefined) {
        if (delivery.attempt === 1) groups.push([]);
        group = groups.at(-1)!;
        byRequest.set(delivery.requestId, group);
      }
      group.push(delivery);
    }
    // What was dropped before its first attempt, a removal follows directly.
    while (groups.length < this.#told.length) groups.splice(-1, 0, []);
    return this.#told.map((told, index) => ({ ...told, attempts: groups[index]! }));
  }

  #sent(): Delivery[] {
    return this.#mstudio.deliveries.filter(({ instanceId, createdAt }) =>
      instanceId === this.id && !this.#stragglers.has(createdAt)
    );
  }

  #drawChange(): Pick<State, "active" | "variantKey" | "consentedScopes"> {
    const random = this.#random;
    return {
      active: random.chance(0.6),
      variantKey: random.chance(0.6) ? random.pick(VARIANTS) : null,
      consentedScopes: SCOPES.filter(() => random.chance(0.5)),
    };
  }

  #change() {
    const { active, variantKey, consentedScopes } = this.#state;
    return { consentedScopes, enabled: active, variantKey: variantKey ?? undefined };
  }

  #drawFaults(): Faults {
    const random = this.#random;
    const times = (probability: number) => random.chance(probability) ? random.between(1, 2) : 0;
    const late = Array.from({ length: times(0.15) }, () => random.between(20, 1_500));
    return {
      duplicate: times(0.25),
      dropResponse: times(0.2),
      forge: times(0.05),
      tamper: times(0.05),
      arriveLateMs: late.map((ms) => ATTEMPT_TIMEOUT_MS + ms),
      clockSkewMs: this.#stampNext(),
    };
  }

  /** Tells an event, `awaited` until it has been answered with success; then something may happen in between. */
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
    while (this.#random.chance(0.25)) await this.#disturb();
  }

  async #disturb(): Promise<void> {
    const random = this.#random;
    const kind = random.next();
    const at = random.next();
    if (kind < 0.6) return await this.#replay((sent) => sent[Math.floor(at * sent.length)]);
    if (kind >= 0.7) return await pause(300 * at);
    // With a genuine signature; that it is a dry run stands in the unsigned query alone.
    const event = at < 0.5
      ? this.#instance.event("SecretRotated", { secret: "dry run" })
      : this.#mstudio.event("ExtensionAddedToContext");
    await this.#untilAnswered(() => this.#mstudio.deliverOnce(event, { dryRun: true }));
  }

  /** Plays back one of what was sent before, if anything was. */
  async #replay(pick: (sent: Delivery[]) => Delivery | undefined): Promise<void> {
    const original = pick(this.#sent().filter(({ replay }) => !replay));
    if (original) await this.#untilAnswered(() => this.#mstudio.replay(original));
  }

  /** An attempt of the first event arrives only now, stamped by a clock that is ahead. */
  #straggle(): Promise<Response> {
    const createdAt = new Date(Date.now() + STRAGGLER_AHEAD_MS);
    this.#stragglers.add(createdAt.toISOString());
    const added = this.#instance.event("ExtensionAddedToContext");
    return this.#mstudio.deliverOnce(added, { createdAt });
  }

  /** The sender does not repeat these, so whether they arrive would depend on who was just killed. */
  async #untilAnswered(send: () => Promise<Response>): Promise<void> {
    for (;;) {
      const response = await send().catch((error) => {
        if (error?.code !== "ERR_NO_RESPONSE") throw error;
      });
      if (response !== undefined && response.status < 500) return;
      await pause(100);
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Carries out the plan of one instance. */

import type {
  Delivery,
  Faults,
  InstanceChange,
  SimulatedInstance,
  SimulatedMstudio,
} from "../../testing/mod.ts";
import type { ToldEvent } from "./model.ts";
import type { EventStep, Plan, PlannedFaults, State, Step } from "./plan.ts";
import type { SenderClock } from "./sender_clock.ts";

/** How the sender is set up. */
export interface Sender {
  readonly mstudio: SimulatedMstudio;
  readonly attemptTimeoutMs: number;
  /** The attempts for an instance so far. */
  deliveriesOf(id: string): readonly Delivery[];
}

/** The wait between two tries of what the sender itself does not try again, in milliseconds. */
const AGAIN_MS = 100;

/** How far the clock of a straggler is ahead, in milliseconds: further than any other. */
const STRAGGLER_AHEAD_MS = 60_000;

/** One instance, from its beginning to its end. */
export class InstanceRun {
  readonly #sender: Sender;
  readonly #plan: Plan;
  readonly #clock: SenderClock;
  readonly #instance: SimulatedInstance;
  readonly #told: { step: EventStep; acknowledged: boolean }[] = [];
  readonly #queued: Promise<void>[] = [];
  /** The times of stragglers: the sender's log does not tell them from attempts. */
  readonly #stragglers = new Set<string>();

  constructor(sender: Sender, plan: Plan, clock: SenderClock) {
    const first = plan.steps.find(isEvent)!.state;
    this.#sender = sender;
    this.#plan = plan;
    this.#clock = clock;
    this.#instance = sender.mstudio.instance({
      id: plan.id,
      context: { id: first.contextId, kind: first.context },
      secret: first.secret,
      ...changeTo(first),
    });
  }

  /** Carries out all steps, and waits until all events are delivered or dropped. */
  async run(): Promise<void> {
    for (const step of this.#plan.steps) await this.#carryOut(step);
    await Promise.all(this.#queued);
  }

  /** What the sender saw. */
  told(): ToldEvent[] {
    const deliveries = this.#sender.deliveriesOf(this.#plan.id)
      .filter(({ url, createdAt }) => !url.includes("dry-run") && !this.#stragglers.has(createdAt));
    const attempted: Delivery[][] = [];
    for (const delivery of deliveries) {
      if (delivery.late || delivery.replay) continue;
      if (delivery.attempt === 1) attempted.push([]);
      attempted.at(-1)!.push(delivery);
    }
    for (const again of deliveries.filter(({ late, replay }) => late || replay)) {
      attempted.find((group) => group.some(({ requestId }) => requestId === again.requestId))!
        .push(again);
    }
    // What was dropped before its first attempt, a removal follows directly.
    const removal = this.#told.at(-1)?.step.do === "remove" ? attempted.pop() : undefined;
    return this.#told.map(({ step, acknowledged }, index) => ({
      step,
      acknowledged,
      attempts: (step.do === "remove" ? removal : attempted[index]) ?? [],
    }));
  }

  async #carryOut(step: Step): Promise<void> {
    switch (step.do) {
      case "pause":
        return await pause(step.ms);
      case "dry-run":
        return await this.#untilAnswered(() => this.#dryRun(step.of));
      case "straggler":
        return await this.#untilAnswered(() => this.#straggle());
      case "replay": {
        const sent = this.#sender.deliveriesOf(this.#plan.id)
          .filter(({ replay, createdAt }) => !replay && !this.#stragglers.has(createdAt));
        const original = step.at === "first"
          ? sent.find(({ responseCode }) => responseCode === "STORED") ?? sent[0]
          : sent[Math.floor(step.at * sent.length)];
        if (original === undefined) return;
        return await this.#untilAnswered(() => this.#sender.mstudio.replay(original));
      }
      default:
        return await this.#tell(step);
    }
  }

  async #tell(step: EventStep): Promise<void> {
    const told = { step, acknowledged: false };
    const faults = this.#faults(step.faults);
    this.#told.push(told);
    const settled = this.#deliver(step, faults).then(
      () => void (told.acknowledged = true),
      (error) => {
        if (error?.code !== "ERR_DROPPED") throw error;
      },
    );
    this.#queued.push(settled);
    settled.catch(() => {});
    if (step.awaited) await settled;
  }

  #deliver({ do: kind, state }: EventStep, faults: Faults): Promise<Delivery> {
    switch (kind) {
      case "add":
        return this.#instance.add({ faults });
      case "update":
        return this.#instance.update(changeTo(state), { faults });
      case "rotate":
        return this.#instance.rotateSecret(state.secret, { faults });
      case "remove":
        return this.#instance.remove({ faults });
    }
  }

  #faults({ lateByMs, ...faults }: PlannedFaults): Faults {
    const { attemptTimeoutMs } = this.#sender;
    return {
      ...faults,
      arriveLateMs: lateByMs.map((ms) => attemptTimeoutMs + ms),
      clockSkewMs: this.#clock.faultOf(this.#told.length),
    };
  }

  async #dryRun(of: "this" | "unknown"): Promise<Response> {
    const { mstudio } = this.#sender;
    const event = of === "this"
      ? this.#instance.event("SecretRotated", { secret: "dry run" })
      : mstudio.event("ExtensionAddedToContext");
    return await mstudio.deliverOnce(event, { dryRun: true });
  }

  async #straggle(): Promise<Response> {
    const createdAt = new Date(Date.now() + STRAGGLER_AHEAD_MS);
    this.#stragglers.add(createdAt.toISOString());
    const event = this.#instance.event("ExtensionAddedToContext");
    return await this.#sender.mstudio.deliverOnce(event, { createdAt });
  }

  /** The sender does not repeat these, so whether they arrive would depend on who was just killed. */
  async #untilAnswered(send: () => Promise<Response>): Promise<void> {
    for (;;) {
      const response = await send().catch((error) => {
        if (error?.code !== "ERR_NO_RESPONSE") throw error;
      });
      if (response !== undefined && response.status < 500) return;
      await pause(AGAIN_MS);
    }
  }
}

function isEvent(step: Step): step is EventStep {
  return "awaited" in step;
}

function changeTo(state: State): InstanceChange {
  return {
    consentedScopes: state.consentedScopes,
    enabled: state.active,
    variantKey: state.variantKey ?? undefined,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

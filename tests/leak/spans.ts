/**
 * Drizzle's tracer. In drizzle-orm 0.45 it looks for no OpenTelemetry by itself, but its statements are instrumented; so
 * this switches it on in the one place that there is.
 */

import * as tracing from "drizzle-orm/tracing"; // its types do not show the tracer

interface Tracer {
  startActiveSpan<T>(name: string, fn: (span?: Span) => T): T;
}

interface Span {
  setAttributes(attributes: Record<string, unknown>): void;
  setStatus(status: unknown): void;
}

/** Records every span of Drizzle's, with its attributes and what it ended with. */
export class SpanRecorder implements Disposable {
  readonly spans: string[] = [];
  readonly #tracer = (tracing as unknown as { tracer: Tracer }).tracer;
  readonly #original: Tracer["startActiveSpan"];

  constructor() {
    const { spans } = this;
    this.#original = this.#tracer.startActiveSpan;
    this.#tracer.startActiveSpan = (name, fn) => {
      const record = (...what: unknown[]) => spans.push([name, ...what.map(toText)].join(" "));
      const span = { setAttributes: record, setStatus: record };
      try {
        const result = fn(span);
        if (result instanceof Promise) result.catch((error) => record("rejected", error));
        return result;
      } catch (error) {
        record("threw", error);
        // With a span it serialises what it builds the statement from, which is not made for it.
        if (name === "drizzle.buildSQL") return fn();
        throw error;
      }
    };
  }

  [Symbol.dispose](): void {
    this.#tracer.startActiveSpan = this.#original;
  }
}

// As a tracer's exporter writes it: an exception with message and stack, everything else as JSON.
function toText(value: unknown): string {
  if (value instanceof Error) return `${value.message} ${value.stack}`;
  return typeof value === "string" ? value : JSON.stringify(value);
}

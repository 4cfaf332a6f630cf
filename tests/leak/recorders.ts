/** Record this process' output and traces. */

import process from "node:process";
import * as tracing from "drizzle-orm/tracing"; // its types do not include the tracer

const METHODS = ["debug", "log", "info", "warn", "error", "trace", "dir", "table"] as const;

/** Records output instead of printing it. */
export class ConsoleRecorder extends DisposableStack {
  readonly texts: string[] = [];

  constructor() {
    super();
    for (const method of METHODS) {
      const original = console[method];
      console[method] = (...values: unknown[]) =>
        void this.texts.push(
          ...values.map((value) => typeof value === "string" ? value : Deno.inspect(value)),
        );
      this.defer(() => console[method] = original);
    }
    for (const stream of [process.stdout, process.stderr]) {
      const original = stream.write;
      stream.write = (chunk: unknown) => this.texts.push(String(chunk)) > 0;
      this.defer(() => stream.write = original);
    }
  }
}

interface Tracer {
  startActiveSpan<T>(name: string, fn: (span?: object) => T): T;
}

/**
 * Records all of Drizzle's spans with their attributes and outcomes. In drizzle-orm 0.45,
 * statements are instrumented, but the tracer does not load OpenTelemetry by itself; this enables
 * it.
 */
export class SpanRecorder extends DisposableStack {
  readonly spans: string[] = [];

  constructor() {
    super();
    const { tracer } = tracing as unknown as { tracer: Tracer };
    const original = tracer.startActiveSpan;
    this.defer(() => tracer.startActiveSpan = original);
    tracer.startActiveSpan = (name, fn) => {
      const record = (...what: unknown[]) => this.spans.push([name, ...what.map(toText)].join(" "));
      try {
        const result = fn({ setAttributes: record, setStatus: record });
        if (result instanceof Promise) result.catch((error) => record("rejected", error));
        return result;
      } catch (error) {
        record("threw", error);
        // With a span, Drizzle serialises the statement's parts, which do not support it.
        if (name === "drizzle.buildSQL") return fn();
        throw error;
      }
    };
  }
}

// Like a tracer's exporter: an exception with message and stack, everything else as JSON.
function toText(value: unknown): string {
  if (value instanceof Error) return `${value.message} ${value.stack}`;
  return typeof value === "string" ? value : JSON.stringify(value);
}

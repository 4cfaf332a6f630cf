/** What this process prints. */

import process from "node:process";

const METHODS = ["debug", "log", "info", "warn", "error", "trace", "dir", "table"] as const;

/** Keeps what is printed, instead of printing it. */
export class ConsoleRecorder implements Disposable {
  readonly texts: string[] = [];
  readonly #restore: (() => void)[] = [];

  constructor() {
    for (const method of METHODS) {
      const original = console[method];
      console[method] = (...values: unknown[]) =>
        void this.texts.push(
          ...values.map((value) => typeof value === "string" ? value : Deno.inspect(value)),
        );
      this.#restore.push(() => console[method] = original);
    }
    for (const stream of [process.stdout, process.stderr]) {
      const original = stream.write;
      stream.write = (chunk: unknown) => this.texts.push(String(chunk)) > 0;
      this.#restore.push(() => stream.write = original);
    }
  }

  [Symbol.dispose](): void {
    for (const restore of this.#restore) restore();
  }
}

/**
 * Figures as people read them.
 *
 * @module
 */
import type { Quantity, RatioResult, RowResult, RuntimeResult } from "./result.ts";

/** Three digits that count, or all before the point. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const decimals = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en-US", {
    minimumFractionDigits: Math.min(decimals, 2),
    maximumFractionDigits: Math.min(decimals, 2),
  });
}

/** A value with its unit. */
export function withUnit(value: number, quantity: Quantity): string {
  switch (quantity) {
    case "rate":
    case "counting":
      return `${digits(value)}/s`;
    case "time":
      return `${digits(value)} ms`;
    case "memory":
      return `${digits(value / 2 ** 20)} MiB`;
  }
}

/** A ratio with its spread. */
export function withSpread(
  { median, min, max }: Pick<RatioResult, "median" | "min" | "max">,
): string {
  return `${digits(median)} (${digits(min)}–${digits(max)})`;
}

/** What a ratio compares: `rate ÷ original`. */
export function comparison({ quantity, over }: Pick<RatioResult, "quantity" | "over">): string {
  return `${quantity} ÷ ${over}`;
}

/** Whether more is better. */
export function moreIsBetter(quantity: Quantity): boolean {
  return quantity === "rate" || quantity === "counting";
}

/** The line of the reason, why somebody is absent, that says most. */
export function reasonOf({ reason }: RowResult["absent"][number]): string {
  const lines = reason.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  return lines.find((line) => line.includes("Error")) ?? lines[0] ?? "no reason was given";
}

/** A runtime with its version: `Node 20.20.2`. */
export function runtimeTitle({ runtime, version }: RuntimeResult): string {
  return `${runtime.split(" ")[0]} ${version}`;
}

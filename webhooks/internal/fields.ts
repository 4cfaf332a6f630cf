/** Reading the fields of a delivery: those that are needed, as tolerantly as they may be written. */

import { WebhookRequestError } from "../../errors.ts";

/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** The error for one field. Only its place: its value may be a secret. */
export function invalidField(field: string): WebhookRequestError {
  return new WebhookRequestError(
    "ERR_BODY_INVALID",
    `Reading the body of a webhook: ${field} is missing or not as it should be`,
  );
}

/** An object. */
export function readObject(value: unknown, field: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidField(field);
  }
  return value as Fields;
}

/** UTF-8 has no bytes for them: what is stored would be another text. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** A string, an empty one included: forms that nobody needs are not checked. */
export function readText(value: unknown, field: string): string {
  if (typeof value !== "string" || LONE_SURROGATE.test(value)) throw invalidField(field);
  return value;
}

/** A string; `null` where there is none. */
export function readOptionalText(value: unknown, field: string): string | null {
  return value === undefined || value === null ? null : readText(value, field);
}

/** Strings; none where there is no list. */
export function readTexts(value: unknown, field: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalidField(field);
  return value.map((text, index) => readText(text, `${field}.${index}`));
}

/** ISO 8601; seconds and zone may be missing. */
const TIME = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?([.,]\d+)?(?:([Zz])|([+-]\d\d):?(\d\d)?)?$/;

/** A point in time; without a zone it is UTC. */
export function readTime(value: unknown, field: string): Date {
  const parts = typeof value === "string" ? TIME.exec(value) : null;
  if (parts === null) throw invalidField(field);
  const [, day, time, seconds = ":00", fraction = ".0", , hours, minutes = "00"] = parts;
  // Written anew: engines differ in what else they read, and take a time without a zone for a local one.
  const zone = hours === undefined ? "Z" : `${hours}:${minutes}`;
  const date = new Date(`${day}T${time}${seconds}.${fraction.slice(1, 4)}${zone}`);
  if (Number.isNaN(date.getTime())) throw invalidField(field);
  return date;
}

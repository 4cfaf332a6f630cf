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

/** Half a character has no bytes in UTF-8, and PostgreSQL's text no U+0000: what is stored would be another text. */
const NOT_STORABLE = /[\p{Surrogate}\0]/u;

/** Whether a text column can hold exactly this text. */
export function isStorable(text: string): boolean {
  return !NOT_STORABLE.test(text);
}

/** A string that a text column can hold, an empty one included: forms that nobody needs are not checked. */
export function readText(value: unknown, field: string): string {
  if (typeof value !== "string" || !isStorable(value)) throw invalidField(field);
  return value;
}

/** A string that is not stored as it is: only UTF-8 has to have it. */
export function readSecret(value: unknown, field: string): string {
  if (typeof value !== "string" || /\p{Surrogate}/u.test(value)) throw invalidField(field);
  return value;
}

/** Any string. */
export function readAnyText(value: unknown, field: string): string {
  if (typeof value !== "string") throw invalidField(field);
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
const TIME =
  /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?([.,]\d+)?(?:[Zz]|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)?$/;

/** A point in time since 1970; without a zone it is UTC. */
export function readTime(value: unknown, field: string): Date {
  const parts = typeof value === "string" ? TIME.exec(value) : null;
  if (parts === null) throw invalidField(field);
  const [, day, time, seconds = ":00", fraction = ".0", hours, minutes = "00"] = parts;
  // Written anew: engines differ in what else they read, and take a time without a zone for a local one.
  const written = `${day}T${time}${seconds}`;
  // They also read the 30th of February, as the 2nd of March.
  const utc = new Date(`${written}Z`);
  if (Number.isNaN(utc.getTime()) || utc.toISOString().slice(0, written.length) !== written) {
    throw invalidField(field);
  }
  const zone = hours === undefined ? "Z" : `${hours}:${minutes}`;
  const date = new Date(`${written}.${fraction.slice(1, 4)}${zone}`);
  if (date.getTime() < 0) throw invalidField(field);
  return date;
}

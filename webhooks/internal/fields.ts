/** Reads the fields of a delivery that are needed, tolerantly. */

import { WebhookRequestError } from "../../errors.ts";

/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** Creates the error for a field. Names only the field: its value may be a secret. */
export function invalidField(field: string): WebhookRequestError {
  return new WebhookRequestError(
    "ERR_BODY_INVALID",
    `Reading the body of a webhook: ${field} is missing or invalid`,
  );
}

/** Reads an object. */
export function readObject(value: unknown, field: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidField(field);
  }
  return value as Fields;
}

/** UTF-8 cannot encode lone surrogates, and PostgreSQL cannot store U+0000. */
const NOT_STORABLE = /[\p{Surrogate}\0]/u;

/** Whether a text column can store a text unchanged. */
export function isStorable(text: string): boolean {
  return !NOT_STORABLE.test(text);
}

/** Reads a storable string, possibly empty. */
export function readText(value: unknown, field: string): string {
  if (typeof value !== "string" || !isStorable(value)) throw invalidField(field);
  return value;
}

/** Reads a string that is stored encrypted: it only has to be valid in UTF-8. */
export function readSecret(value: unknown, field: string): string {
  if (typeof value !== "string" || /\p{Surrogate}/u.test(value)) throw invalidField(field);
  return value;
}

/** Reads any string. */
export function readAnyText(value: unknown, field: string): string {
  if (typeof value !== "string") throw invalidField(field);
  return value;
}

/** Reads a string; `null` if it is absent. */
export function readOptionalText(value: unknown, field: string): string | null {
  return value === undefined || value === null ? null : readText(value, field);
}

/** Reads a list of strings; empty if it is absent. */
export function readTexts(value: unknown, field: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalidField(field);
  return value.map((text, index) => readText(text, `${field}.${index}`));
}

/** ISO 8601, with optional seconds and zone. */
const TIME =
  /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?([.,]\d+)?(?:[Zz]|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)?$/;

/** Reads a time from 1970 on; UTC if it has no zone. */
export function readTime(value: unknown, field: string): Date {
  const parts = typeof value === "string" ? TIME.exec(value) : null;
  if (parts === null) throw invalidField(field);
  const [, day, time, seconds = ":00", fraction = ".0", hours, minutes = "00"] = parts;
  // Rebuilt, because engines accept different forms and treat a time without a zone as local.
  const written = `${day}T${time}${seconds}`;
  // They also read February 30 as March 2.
  const utc = new Date(`${written}Z`);
  if (Number.isNaN(utc.getTime()) || utc.toISOString().slice(0, written.length) !== written) {
    throw invalidField(field);
  }
  const zone = hours === undefined ? "Z" : `${hours}:${minutes}`;
  const date = new Date(`${written}.${fraction.slice(1, 4)}${zone}`);
  if (date.getTime() < 0) throw invalidField(field);
  return date;
}

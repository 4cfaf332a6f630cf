/**
 * Finds and decrypts the encrypted values in a result. The columns that Drizzle is told to read
 * give their paths, so nothing has to be searched. Only the results of relational queries are
 * walked.
 */

import { SQL } from "drizzle-orm";
import { DecryptionError, InvalidCiphertextError } from "../../../errors.ts";
import { isEncrypted, keyOf, placeOf, readable } from "./encrypted_column.ts";
import { eachBounded } from "./map_bounded.ts";
import { encryptedColumnOf } from "./names.ts";
import type { Field } from "./parts.ts";
import { UndecryptedValue } from "./undecrypted_value.ts";

/** How one query's results are decrypted. */
export interface ResultPlan {
  /** The same fields for Drizzle, but leaving stored values unchanged. */
  readonly fields: readonly Field[];
  /** Decrypts a result that Drizzle mapped. */
  decrypt(result: unknown): Promise<unknown>;
}

/** A value in a result. */
interface Found {
  readonly column: object;
  readonly stored: unknown;
  /** The object that gets the plaintext, and the property. */
  readonly container: Container;
  readonly property: string | number;
  readonly path: readonly (string | number)[];
}

type Container = Record<string | number, unknown>;

/** The plan of a query with these fields; `undefined` if no field is encrypted. */
export function planRows(fields: readonly Field[]): ResultPlan | undefined {
  const encrypted: { path: readonly string[]; column: object }[] = [];
  const replaced = fields.map((selected) => {
    const column = encryptedColumnOf(selected.field);
    if (column === undefined) return selected;
    encrypted.push({ path: selected.path, column });
    return asStored(selected, column);
  });
  if (encrypted.length === 0) return undefined;
  return {
    fields: replaced,
    async decrypt(result) {
      const rows = result as Container[];
      const { length } = encrypted;
      // Every mapping creates new rows, so they can be filled in place.
      await eachBounded(rows.length * length, (index) => {
        const { path, column } = encrypted[index % length]!;
        const group = groupOf(rows[Math.floor(index / length)]!, path);
        const property = path[path.length - 1]!;
        const stored = group?.[property];
        if (stored === null || stored === undefined) return;
        return decryptInto(group!, property, column, stored);
      }, {
        explain(error, index) {
          const { path, column } = encrypted[index % length]!;
          return located(error, column, [Math.floor(index / length), ...path]);
        },
      });
      return rows;
    },
  };
}

/** The object with the last property of a path; `undefined` for the missing side of a join. */
function groupOf(row: Container, path: readonly string[]): Container | undefined {
  let group: Container | null | undefined = row;
  for (let depth = 0; depth < path.length - 1; depth++) {
    group = group?.[path[depth]!] as Container | null | undefined;
  }
  return group ?? undefined;
}

const identity = (stored: unknown): unknown => stored;

function asStored(selected: Field, column: object): Field {
  if (selected.field === column) return { ...selected, field: readable(column) };
  const decoded = Object.assign(new SQL([]), { decoder: { mapFromDriverValue: identity } });
  // Drizzle 1.0 reads the class of a field from a property beside it.
  return "fieldType" in selected
    ? { ...selected, field: decoded, fieldType: "SQL" } as Field
    : { ...selected, field: decoded };
}

interface RelationalField {
  readonly field?: unknown;
  readonly fieldType?: string;
  readonly selection?: readonly RelationalField[];
}

/** The plan of a relational query of Drizzle 1.0. */
export function planRelations(selection: readonly unknown[]): ResultPlan | undefined {
  let encrypted = false;
  const replace = (fields: readonly RelationalField[]): RelationalField[] =>
    fields.map((item) => {
      if (item.selection) return { ...item, selection: replace(item.selection) };
      const column = encryptedColumnOf(item.field);
      if (!column) return item;
      encrypted = true;
      const decode = UndecryptedValue.decoderOf(column);
      return isEncrypted(item.field) ? { ...item, field: readable(column, decode) } : {
        ...item,
        field: Object.assign(new SQL([]), { decoder: { mapFromDriverValue: decode } }),
        fieldType: "SQL",
      };
    });
  const fields = replace(selection as readonly RelationalField[]) as unknown as readonly Field[];
  return encrypted ? { fields, decrypt: decryptTree } : undefined;
}

/**
 * Decrypts the values in a tree of arrays and plain objects. Copies the tree, as a cache may keep
 * parts of it.
 */
export async function decryptTree(result: unknown): Promise<unknown> {
  const found: Found[] = [];
  const copied = copyTree(result, [], found);
  await eachBounded(found.length, (index) => {
    const { container, property, column, stored } = found[index]!;
    return decryptInto(container, property, column, stored);
  }, { explain: (error, index) => located(error, found[index]!.column, found[index]!.path) });
  return copied;
}

function copyTree(value: unknown, path: readonly (string | number)[], found: Found[]): unknown {
  if (!isContainer(value)) return value;
  let copy: Container | undefined;
  for (const property of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    const inner = value[property];
    if (typeof inner !== "object" || inner === null) continue;
    const here = [...path, property];
    if (inner instanceof UndecryptedValue) {
      copy ??= copyOf(value);
      const { column, stored } = inner;
      found.push({ column, stored, container: copy, property, path: here });
    } else {
      const inside = copyTree(inner, here, found);
      if (inside !== inner) (copy ??= copyOf(value))[property] = inside;
    }
  }
  return copy ?? value;
}

function isContainer(value: unknown): value is Container {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function copyOf(container: Container): Container {
  return (Array.isArray(container) ? [...container] : { ...container }) as Container;
}

function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((step, index) => typeof step === "number" ? `[${step}]` : index > 0 ? `.${step}` : step)
    .join("");
}

/** Decrypts a stored value into its property; returns the plaintext or a promise of it. */
function decryptInto(
  container: Container,
  property: string | number,
  column: object,
  stored: unknown,
): string | Promise<string> {
  if (typeof stored !== "string") throw new InvalidCiphertextError();
  const plaintext = keyOf(column)!.decrypt(stored);
  return typeof plaintext === "string"
    ? container[property] = plaintext
    : plaintext.then((plaintext) => container[property] = plaintext);
}

/** The same error, with the location of the value. */
function located(error: unknown, column: object, path: readonly (string | number)[]): unknown {
  if (!(error instanceof DecryptionError)) return error;
  const place = placeOf(column);
  return error instanceof InvalidCiphertextError
    ? new InvalidCiphertextError(formatPath(path), place)
    : new DecryptionError(formatPath(path), place);
}

type Mapper = (rows: unknown[]) => unknown;

/** Plans of Drizzle 1.0 and the functions that map rows, keyed by these functions' stand-ins. */
const plans = new WeakMap<object, Pick<ResultPlan, "decrypt"> & { readonly mapper: Mapper }>();

/**
 * A stand-in for a function that maps rows, the only part of a plan that reaches a session. It
 * throws, as a session that is not decorated would return ciphertext.
 */
function standIn(mapper: Mapper, { decrypt }: ResultPlan): Mapper {
  const refuse: Mapper = () => {
    throw new TypeError(
      "Reading the result of a query: its session does not decrypt it, " +
        "wrap the database with withEncryption(db)",
    );
  };
  plans.set(refuse, { decrypt, mapper });
  return refuse;
}

/** The arguments with which a session maps a result, and the function that decrypts it. */
export interface PlannedArguments {
  readonly rest: readonly unknown[];
  readonly decrypt: (result: unknown) => Promise<unknown>;
}

/**
 * Finds the plan in the arguments of `prepareQuery` after the statement: Drizzle 0.x passes the
 * fields, or a function for relational queries; 1.0 passes a function with a stored plan.
 *
 * @returns `undefined` if nothing is decrypted.
 */
export function planArguments(rest: readonly unknown[]): PlannedArguments | undefined {
  for (const [index, argument] of rest.entries()) {
    if (Array.isArray(argument)) {
      const plan = planRows(argument);
      if (!plan) return undefined;
      const replaced = [...rest];
      replaced[index] = plan.fields;
      return { rest: replaced, decrypt: plan.decrypt };
    }
    if (typeof argument === "function") {
      const plan = plans.get(argument);
      if (!plan) return { rest, decrypt: decryptTree };
      const { decrypt, mapper } = plan;
      return { rest: rest.map((given) => given === argument ? mapper : given), decrypt };
    }
  }
  return undefined;
}

/** Makes the functions that map rows. Drizzle 1.0 only. */
export interface MapperGenerators {
  rows(fields: readonly Field[], ...rest: unknown[]): Mapper;
  relationalRows(config: { selection: readonly unknown[] }): Mapper;
}

/** The same generators, which also store the plans of their functions. */
export function planningMappers({ rows, relationalRows }: MapperGenerators): MapperGenerators {
  return {
    rows(fields, ...rest) {
      const plan = planRows(fields);
      return plan ? standIn(rows(plan.fields, ...rest), plan) : rows(fields, ...rest);
    },
    relationalRows(config) {
      const plan = planRelations(config.selection);
      return plan
        ? standIn(relationalRows({ ...config, selection: plan.fields }), plan)
        : relationalRows(config);
    },
  };
}

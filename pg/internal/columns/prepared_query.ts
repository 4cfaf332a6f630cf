/** Drizzle's prepared queries, which encrypt parameters and decrypt results. */

import { is, Param, Placeholder, sql } from "drizzle-orm";
import { DecryptionError, InvalidCiphertextError } from "../../../errors.ts";
import { isEncrypted, refuseUse } from "./encrypted_column.ts";
import { mapBounded } from "./map_bounded.ts";
import { isStoringEncoder, makeUnsendable, PendingCiphertext } from "./pending_ciphertext.ts";
import { planArguments } from "./result_plan.ts";

/** A statement as passed to Drizzle's sessions. */
export interface Query {
  readonly sql: string;
  readonly params: readonly unknown[];
}

type PlaceholderValues = Record<string, unknown>;

/** The members that Drizzle's prepared queries share. */
export interface PreparedQuery {
  execute(values?: PlaceholderValues, ...rest: unknown[]): Promise<unknown>;
  getQuery(): Query;
}

/** The part of a session used here. */
export interface Preparing {
  prepareQuery(query: Query, ...rest: unknown[]): PreparedQuery;
}

/** Makes the pending ciphertext of a parameter for one execution. */
type Pend = (values: PlaceholderValues) => PendingCiphertext | null;

/** Key of a prepared query's state. */
const STATE = Symbol("state");

interface State {
  /** The driver's own query, whose mapping leaves ciphertexts unchanged. */
  readonly inner: PreparedQuery;
  /** Its `execute`. */
  readonly send: PreparedQuery["execute"];
  /** Encrypts the parameters. */
  readonly fill: ((values: PlaceholderValues) => Promise<PlaceholderValues>) | undefined;
  readonly decrypt: ((result: unknown) => Promise<unknown>) | undefined;
}

/**
 * The members that a batch reads before it sends a query, and maps its result with, in Drizzle 0.x
 * and 1.0.
 */
const OF_BATCHES = ["isResponseInArrayMode", "mode", "mapResult", "mapper"];

function refuse(): never {
  throw new TypeError(
    "Reading the result of a prepared query: it is not decrypted yet, execute the query, " +
      "or batch it on the database that it was built with",
  );
}

type Encrypting = PreparedQuery & { readonly [STATE]: State };

/** The driver's own query, with the properties that Drizzle has set from the outside. */
function innerOf(query: Encrypting): PreparedQuery {
  const { inner } = query[STATE];
  for (const name of Object.keys(query)) Reflect.set(inner, name, Reflect.get(query, name));
  return inner;
}

async function execute(
  this: Encrypting,
  values: PlaceholderValues = {},
  ...rest: unknown[]
): Promise<unknown> {
  const { send, fill, decrypt } = this[STATE];
  const inner = innerOf(this);
  const result = await send.call(inner, fill ? await fill(values) : values, ...rest);
  return decrypt ? await decrypt(result) : result;
}

function getQuery(this: Encrypting): Query {
  return this[STATE].inner.getQuery();
}

const decryptingPrototypes = new WeakMap<object, object>();
const encryptingPrototypes = new WeakMap<object, object>();

/**
 * The prototype of a driver's encrypting queries: shared, as an object that serves as a prototype
 * costs V8 more than the query. It keeps batches from mapping results that would then not be
 * decrypted.
 */
function encryptingPrototype(inner: PreparedQuery, isDecrypting: boolean): object {
  const driver = Object.getPrototypeOf(inner);
  const prototypes = isDecrypting ? decryptingPrototypes : encryptingPrototypes;
  let prototype = prototypes.get(driver);
  if (!prototype) {
    prototype = Object.create(driver, {
      execute: { value: execute, writable: true },
      getQuery: { value: getQuery, writable: true },
    }) as object;
    for (const name of OF_BATCHES) {
      if (!(name in inner)) continue;
      const isMethod = typeof Reflect.get(inner, name) === "function";
      const get = isDecrypting ? refuse : function (this: Encrypting): unknown {
        const { inner } = this[STATE];
        const member: unknown = Reflect.get(inner, name);
        return typeof member === "function" ? member.bind(inner) : member;
      };
      Object.defineProperty(
        prototype,
        name,
        isDecrypting && isMethod ? { value: refuse } : { get },
      );
    }
    prototypes.set(driver, prototype);
  }
  return prototype;
}

/** Prepares a query. A query without encrypted columns stays Drizzle's own. */
export function prepareEncrypting(
  session: Preparing,
  query: Query,
  rest: readonly unknown[],
): PreparedQuery {
  const planned = planArguments(rest);
  const pending: Pend[] = [];
  let params: unknown[] | undefined;
  for (const [index, param] of query.params.entries()) {
    const pend = pendOf(param);
    if (!pend) continue;
    // Each execution fills in a new ciphertext; the query is prepared once.
    (params ??= [...query.params])[index] = new CiphertextParam(pending.length, pend);
    pending.push(pend);
  }
  if (!planned && !params) return session.prepareQuery(query, ...rest);
  const inner = session.prepareQuery(
    params ? { ...query, params } : query,
    ...planned?.rest ?? rest,
  );
  const names = params && placeholderNames(query.params);
  const state: State = {
    inner,
    send: inner.execute,
    fill: names && (async (values) => {
      // Read synchronously, as Drizzle does, including inherited ones and getters.
      const filled = readAll(names, values);
      filled[ALL] = await encryptAll(pending.map((pend) => pend(filled)));
      return filled;
    }),
    decrypt: planned?.decrypt,
  };
  const prepared = Object.create(encryptingPrototype(inner, planned !== undefined));
  prepared[STATE] = state;
  return prepared;
}

// No application uses a placeholder with this name.
const ALL = "mitthooks-drizzle ciphertexts";
const all = sql.placeholder(ALL);

/**
 * Picks one of an execution's ciphertexts, which share a placeholder: one for each could mean
 * thousands.
 */
class CiphertextAt {
  readonly #index: number;

  constructor(index: number, readonly pend: Pend) {
    this.#index = index;
  }

  mapToDriverValue(ciphertexts: unknown): string | null {
    return (ciphertexts as Ciphertexts)[this.#index]!;
  }
}

/** A placeholder for a ciphertext, filled by an execution or a batch of the decorated database. */
class CiphertextParam extends Param {
  constructor(index: number, pend: Pend) {
    super(all, new CiphertextAt(index, pend));
  }
}

makeUnsendable(CiphertextParam.prototype);

type Ciphertexts = readonly (string | null)[];

function pendOf(param: unknown): Pend | undefined {
  if (typeof param !== "object" || param === null) return undefined;
  if (param instanceof PendingCiphertext) return () => param;
  if (isEncrypted(param)) refuseUse(param, "uses as a value");
  if (!is(param, Param)) return undefined;
  if (param.encoder instanceof CiphertextAt) return param.encoder.pend;
  const bound: unknown = param.encoder;
  if (isEncrypted(bound)) refuseUse(bound, "compares a value with");
  if (!isStoringEncoder(param.encoder) || !is(param.value, Placeholder)) return undefined;
  const { encoder, value: { name } } = param;
  return (values) => {
    if (!(name in values)) {
      throw new TypeError(
        `Executing a query: no value for placeholder ${JSON.stringify(name)} was given`,
      );
    }
    return encoder.mapToDriverValue(values[name]);
  };
}

function placeholderNames(params: readonly unknown[]): ReadonlySet<string> {
  const found = params.map((param) => is(param, Param) ? param.value : param);
  return new Set(found.filter((value) => is(value, Placeholder)).map(({ name }) => name));
}

/** Omits missing values: Drizzle reports them itself. */
function readAll(names: ReadonlySet<string>, values: PlaceholderValues): PlaceholderValues {
  const read: PlaceholderValues = Object.create(null);
  for (const name of names) if (name in values) read[name] = values[name];
  return read;
}

function encryptAll(
  pending: readonly (PendingCiphertext | null | undefined)[],
): Promise<Ciphertexts> {
  return mapBounded(pending, (ciphertext) => ciphertext?.encrypt() ?? null);
}

/** A query in a batch of neon-http. */
export interface Batchable {
  _prepare(): PreparedQuery;
}

/**
 * A batch of neon-http reads each query's statement and maps its result itself, without executing
 * the query.
 */
export async function batchEncrypting(
  batch: (queries: readonly Batchable[]) => Promise<unknown[]>,
  queries: readonly Batchable[],
): Promise<unknown[]> {
  const prepared = queries.map((query) => query._prepare());
  // Awaiting a statement of db.execute sends it, so this must not return one.
  const filled = await Promise.all(prepared.map(async (query): Promise<Batchable> => {
    const mapping = STATE in query ? innerOf(query as Encrypting) : query;
    const { params, ...built } = mapping.getQuery();
    const pending = params.map((param) => pendOf(param)?.({}));
    if (pending.every((ciphertext) => ciphertext === undefined)) return { _prepare: () => mapping };
    const ciphertexts = await encryptAll(pending);
    const copy: PreparedQuery = Object.create(mapping);
    copy.getQuery = () => ({
      ...built,
      params: params.map((param, index) =>
        pending[index] === undefined ? param : ciphertexts[index]
      ),
    });
    return { _prepare: () => copy };
  }));
  const results = await batch(filled);
  return await Promise.all(results.map((result, index) => {
    const decrypting = (prepared[index] as Partial<Encrypting>)[STATE]?.decrypt?.(result);
    return decrypting ? decrypting.catch((error) => refuseResult(error, index)) : result;
  }));
}

/** Prefixes the value's path with the query's index. */
function refuseResult(error: unknown, index: number): never {
  if (!(error instanceof DecryptionError)) throw error;
  const { path = "", table = "", column = "" } = error;
  const ErrorClass = error instanceof InvalidCiphertextError
    ? InvalidCiphertextError
    : DecryptionError;
  throw new ErrorClass(`[${index}]${path.startsWith("[") ? "" : "."}${path}`, { table, column });
}

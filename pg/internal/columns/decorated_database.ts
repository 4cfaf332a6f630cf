/**
 * Copies of Drizzle's databases and sessions that encrypt and decrypt. Databases they return are
 * decorated too.
 */

import type { SQL } from "drizzle-orm";
import { QueryBuilder } from "drizzle-orm/pg-core";
import { copyWith } from "./copy_with.ts";
import { DECORATED, isDatabase, isDecorated } from "./database.ts";
import {
  type Dialect,
  encryptingDialect,
  ownStatement,
  rawStatement,
} from "./encrypting_dialect.ts";
import { inheritedMethods, readOwn } from "./itself.ts";
import {
  type Batchable,
  batchEncrypting,
  prepareEncrypting,
  type Preparing,
} from "./prepared_query.ts";

// Members that Drizzle's classes share across drivers and versions. Drizzle's public types lack
// them.

type Method = (this: object, ...args: unknown[]) => unknown;

interface Session extends Preparing {
  dialect: Dialect;
  batch?(queries: readonly Batchable[]): Promise<unknown[]>;
  transaction?: Method;
}

interface Builder {
  dialect: Dialect;
  session: Session;
}

/** A database or a transaction. */
export interface Database {
  dialect: Dialect;
  session: Session;
  _: { session: Session };
  query?: Record<string, Builder>;
  _query?: Record<string, Builder>;
  $with(...args: unknown[]): { as(query: unknown): unknown };
}

/** Each decorated database, session and dialect, keyed by its original and by itself. */
const decorations = new WeakMap<object, object>();

function remember<T extends object>(original: T, make: (original: T) => T): T {
  let result = decorations.get(original) as T | undefined;
  if (!result) {
    // Decorated by another copy of this package, or inherited from a decorated object.
    if (isDecorated(original)) return original;
    // Configurable, as a Proxy in front of it may return another value.
    result = Object.defineProperty(make(original), DECORATED, {
      value: original,
      configurable: true,
    });
    decorations.set(original, result).set(result, result);
  }
  return result;
}

/** The decorated form of a database, if it has been decorated or is decorated itself. */
export function decorationOf(db: object): object | undefined {
  return decorations.get(db);
}

/** Decorates a database. The given one is left unchanged. */
export function decorate(db: Database): Database {
  return remember(db, () => {
    const dialect = remember(db.dialect, encryptingDialect);
    const original = db.session;
    const first = decorateSession(original);
    let replaced: Session | undefined;
    const changes = {
      dialect,
      get session(): Session {
        if (replaced) return replaced;
        const session = read(db, "session", original);
        return session === original ? first : decorateSession(session);
      },
      set session(session) {
        replaced = decorateSession(session);
      },
      _: {
        ...db._,
        get session(): Session {
          return decorated.session;
        },
      },
      $with: (...args: unknown[]) => {
        const { as } = (new QueryBuilder(dialect as never) as unknown as Database).$with(...args);
        return { as: (query: unknown) => as(ownStatement(dialect, query)) };
      },
    };
    // The builders of relational queries refer to the dialect and the session.
    for (const name of ["query", "_query"] as const) {
      const builders = db[name];
      if (!builders) continue;
      const part = {
        dialect,
        get session(): Session {
          return decorated.session;
        },
      };
      const copies = Object.fromEntries(
        Object.entries(builders).map(([table, builder]) => [table, copyWith(builder, part)]),
      );
      Object.defineProperty(changes, name, {
        get: () => read(db, name, builders) && copies,
        enumerable: true,
        configurable: true,
      });
    }
    const prototype = decoratedPrototype(Object.getPrototypeOf(db));
    const own = Object.getOwnPropertyDescriptors(db) as PropertyDescriptorMap;
    for (const [name, { value }] of Object.entries(own)) {
      // An own method, such as one that a tracer replaced.
      if (typeof value === "function" && name in prototype) {
        own[name]!.value = handingOut(name, value);
      }
    }
    const decorated: Database = Object.create(prototype, {
      ...own,
      ...Object.getOwnPropertyDescriptors(changes),
    });
    return decorated;
  });
}

const prototypes = new WeakMap<object, object>();

/**
 * The prototype of decorated databases: all methods of their class, returning only decorated
 * databases.
 */
function decoratedPrototype(prototype: object): object {
  let result = prototypes.get(prototype);
  if (!result) {
    result = Object.create(prototype) as object;
    for (const [name, method] of inheritedMethods(prototype)) {
      Object.defineProperty(result, name, {
        value: handingOut(name, method as Method),
        writable: true,
        configurable: true,
      });
    }
    prototypes.set(prototype, result);
  }
  return result;
}

const USING = "Using a database that withEncryption wrapped";

const read = <T>(db: object, name: string, known: T): T => readOwn(USING, db, name, known);

/**
 * A method of a decorated database: runs on the decorated database, and decorates the databases
 * that it returns or passes to a callback.
 */
function handingOut(name: string, method: Method): Method {
  return function (...args) {
    const db = (this as { [DECORATED]?: object })[DECORATED];
    if (db) read(db, name, method);
    if (name === "execute") args[0] = own(args[0]);
    return handOut(method.apply(this, args.map(receiving)));
  };
}

/** The statement of `execute`, built once. */
function own(query: unknown): unknown {
  const statement = (query as { getSQL?(): SQL }).getSQL?.();
  return statement ? rawStatement(statement) : query;
}

const handOut = (value: unknown): unknown =>
  isDatabase(value) && !isDecorated(value) ? decorate(value as Database) : value;

const receiving = (argument: unknown): unknown =>
  typeof argument === "function"
    ? (...args: unknown[]) => argument(...args.map(handOut))
    : argument;

function decorateSession(session: Session): Session {
  return remember(session, () => {
    // The inherited methods call these.
    const wrapper = Object.create(session) as Session;
    wrapper.dialect = remember(session.dialect, encryptingDialect);
    wrapper.prepareQuery = (query, ...rest) => prepareEncrypting(session, query, rest);
    const { batch, transaction } = session;
    if (batch) {
      wrapper.batch = (queries) =>
        batchEncrypting((filled) => batch.call(session, filled), queries);
    }
    if (transaction) {
      wrapper.transaction = function (...args) {
        return transaction.apply(this, args.map(receiving));
      };
    }
    return wrapper;
  });
}

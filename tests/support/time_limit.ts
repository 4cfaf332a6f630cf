/**
 * Gives every test a time limit, so that what hangs fails and says where. `deno test --preload` loads it before each
 * file of tests.
 *
 * @module
 */

/** Many times what nearly all tests take on a machine that does nothing else, in minutes. */
const LIMIT_MIN = Number(Deno.env.get("TEST_LIMIT_MINUTES") ?? 8);

type TestFunction = (t: Deno.TestContext) => void | Promise<void>;

/** The test function, which fails at the limit and names the steps that were running then. */
function limited(test: TestFunction): TestFunction {
  return async (t) => {
    const running = new Set<string>();
    const limit = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const at = running.size === 0 ? "" : `, in the step ${[...running].join(" > ")}`;
      limit.reject(new Error(`Running "${t.name}": not finished after ${LIMIT_MIN} minutes${at}`));
    }, LIMIT_MIN * 60_000);
    try {
      await Promise.race([test(watched(t, running)), limit.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Notes which steps are running. */
function watched(t: Deno.TestContext, running: Set<string>): Deno.TestContext {
  const step = (...args: unknown[]) =>
    t.step(...withFunction(args, (test) => async (inner) => {
      running.add(inner.name);
      try {
        await test(watched(inner, running));
      } finally {
        running.delete(inner.name);
      }
    }) as [string, TestFunction]);
  return Object.assign(Object.create(t), { step });
}

/** Replaces the function among the arguments of `Deno.test` or `step`, where it is the last or a field of the first. */
function withFunction(args: unknown[], change: (test: TestFunction) => TestFunction): unknown[] {
  return args.map((value) => {
    if (typeof value === "function") {
      // Without a name of its own, a test has its function's.
      return Object.defineProperty(change(value as TestFunction), "name", { value: value.name });
    }
    const { fn } = value as { fn?: TestFunction };
    return fn === undefined ? value : { ...value as object, fn: change(fn) };
  });
}

const test = Deno.test;
const testWithLimit = (...args: unknown[]) =>
  test(...withFunction(args, limited) as [string, TestFunction]);
Object.assign(Deno, { test: Object.assign(testWithLimit, test) });

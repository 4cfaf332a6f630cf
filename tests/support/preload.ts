/**
 * Gives every test a time limit, so that a hanging test fails and reports where. Disables Deno's
 * sanitizers, as newer versions of Deno do by default: drivers keep timers across tests. Tests
 * about leaks enable them. `deno test --preload` loads this before each test file.
 */

/** Minutes: many times the duration of nearly all tests on an idle machine. */
const LIMIT_MIN = Number(Deno.env.get("TEST_LIMIT_MINUTES") ?? 8);

type TestFunction = (t: Deno.TestContext) => void | Promise<void>;

/** Makes a test function fail at the limit, with the names of its running steps. */
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

/** Records the running steps. */
function watched(t: Deno.TestContext, running: Set<string>): Deno.TestContext {
  const step = (name: string, test: TestFunction) =>
    t.step(name, async (inner) => {
      running.add(name);
      try {
        await test(watched(inner, running));
      } finally {
        running.delete(name);
      }
    });
  return Object.assign(Object.create(t), { step });
}

const test = Deno.test;
/** `Deno.test` in all its forms: name, options and function in this order, each optional. */
const testWithLimit = (...args: unknown[]) => {
  const fn = args.find((arg) => typeof arg === "function") as TestFunction | undefined;
  const definition = {
    ...args.find((arg) => typeof arg === "object") as Partial<Deno.TestDefinition>,
    ...typeof args[0] === "string" && { name: args[0] },
    ...fn && { fn },
  } as Deno.TestDefinition;
  test({
    sanitizeOps: false,
    sanitizeResources: false,
    ...definition,
    name: definition.name ?? definition.fn.name,
    fn: limited(definition.fn),
  });
};
Object.assign(Deno, { test: Object.assign(testWithLimit, test) });

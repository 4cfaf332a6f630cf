/**
 * Lint rule for code that has to run on every runtime: finds what some of them lack.
 *
 * @module
 */

/** Globals that only some runtimes have. */
const RUNTIME_GLOBALS = new Set(["Buffer", "Deno", "Bun", "require", "__dirname", "__filename"]);

/** The one way to the built-in modules of a runtime that works everywhere: it may come to nothing. */
const OPTIONAL_BUILTIN = "node:crypto";

type Node = Deno.lint.Node;

/** What of a node counts here; the types of the several kinds of nodes differ in the rest. */
interface Shape {
  readonly type: string;
  /** Missing or `null` above the root. */
  readonly parent?: Shape | null;
  /** Reached by `?.`. */
  readonly optional?: boolean;
  readonly computed?: boolean;
  readonly property?: Shape;
  readonly arguments?: readonly Shape[];
  readonly name?: string;
  readonly value?: unknown;
  readonly key?: Shape;
}

function parentOf(node: Shape): Shape | null | undefined {
  let { parent } = node;
  // Between the parts of `a?.b?.()` there may be nodes that only group them.
  while (parent && /^(ChainExpression|TSAsExpression|TSNonNull)/.test(parent.type)) {
    parent = parent.parent;
  }
  return parent;
}

/** Whether `….process` goes on as `?.getBuiltinModule?.("node:crypto")`. */
function asksForBuiltin(process: Shape): boolean {
  const object = parentOf(process);
  const member = object && parentOf(object);
  const call = member && parentOf(member);
  return object?.type === "MemberExpression" && object.property === process &&
    member?.type === "MemberExpression" && member.optional === true &&
    member.property?.name === "getBuiltinModule" &&
    call?.type === "CallExpression" && call.optional === true &&
    call.arguments?.length === 1 && call.arguments[0]?.value === OPTIONAL_BUILTIN;
}

/** Whether an identifier is only the name of a member in a type, which does not exist at run time. */
function namesTypeMember(node: Shape): boolean {
  return /^TS(Property|Method)Signature$/.test(node.parent?.type ?? "") &&
    node.parent?.key === node;
}

function isTopLevel(node: Shape): boolean {
  for (let { parent } = node; parent; parent = parent.parent) {
    if (/Function/.test(parent.type)) return false;
  }
  return true;
}

function checkName(context: Deno.lint.RuleContext, node: Node, name: string): void {
  const shape = node as unknown as Shape;
  if (RUNTIME_GLOBALS.has(name) && !namesTypeMember(shape)) {
    context.report({ node, message: `\`${name}\` does not exist on every runtime` });
  }
  if (name === "process" && !namesTypeMember(shape) && !asksForBuiltin(shape)) {
    context.report({
      node,
      message: "`process` does not exist on every runtime; only " +
        `\`globalThis.process?.getBuiltinModule?.("${OPTIONAL_BUILTIN}")\` may ask for it`,
    });
  }
}

function checkAwait(context: Deno.lint.RuleContext, node: Node): void {
  if (isTopLevel(node as unknown as Shape)) {
    context.report({ node, message: "top-level `await` cannot be loaded as CommonJS" });
  }
}

const plugin: Deno.lint.Plugin = {
  name: "portable",
  rules: {
    "every-runtime": {
      create: (context) => ({
        Identifier: (node) => checkName(context, node, node.name),
        // globalThis["Buffer"]
        "MemberExpression[computed=true] > Literal": (node: Deno.lint.Node) => {
          const { value } = node as unknown as Shape;
          if (typeof value === "string") checkName(context, node, value);
        },
        AwaitExpression: (node) => checkAwait(context, node),
        "ForOfStatement[await=true]": (node: Deno.lint.Node) => checkAwait(context, node),
        "VariableDeclaration[kind='await using']": (node: Deno.lint.Node) =>
          checkAwait(context, node),
        ImportExpression: (node) => {
          if (node.source.type !== "Literal") {
            context.report({ node, message: "what this `import()` loads cannot be checked" });
          }
        },
      }),
    },
  },
};

export default plugin;

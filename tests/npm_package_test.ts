/** What the npm package declares, whichever compiler wrote it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { globSync } from "node:fs";
import { buildNpmPackage, type Compiler } from "../tools/npm/package.ts";
import { runInDirectory } from "../tools/npm/process.ts";
import { join, repository } from "../tools/paths.ts";
import { toolProject } from "../tools/npm/project.ts";

const typescript = () =>
  toolProject("typescript-6", { "typescript": "6.0.3", "@types/node": "22.20.5" });

/** As dnt does it: TypeScript's own compiler, with dnt's options. */
const tsc: Compiler = ["tsc", async (root, outDir, exports) => {
  const tools = await typescript();
  const config = join(outDir, "tsconfig.json");
  const compilerOptions = {
    strict: true,
    declaration: true,
    allowImportingTsExtensions: true,
    rewriteRelativeImportExtensions: true,
    isolatedModules: true,
    module: "esnext",
    moduleResolution: "bundler",
    target: "esnext",
    lib: ["esnext", "dom", "dom.iterable"],
    types: ["node"],
    typeRoots: [join(tools, "node_modules/@types")],
    skipLibCheck: true,
    rootDir: root,
    outDir,
  };
  const files = Object.values(exports).map((path) => join(root, path));
  await Deno.writeTextFile(config, JSON.stringify({ compilerOptions, files }));
  await runInDirectory(root, join(tools, "node_modules/.bin/tsc"), ["-p", config]);
  // dnt renames modules before it compiles, tsc only in code.
  for (const name of globSync("**/*.d.ts", { cwd: outDir })) {
    const text = await Deno.readTextFile(join(outDir, name));
    const renamed = text.replaceAll(/(["'])(\.{1,2}\/[^"']+)\.ts\1/g, '"$2.js"');
    await Deno.writeTextFile(join(outDir, name), renamed);
  }
}];

/**
 * Prints what a consumer sees of a package: names and types of all that its modules export, of the members of these,
 * and the comments on each; and the comments that the modules begin with.
 */
const READER = `
import ts from "typescript";
import { readFileSync } from "node:fs";
const [directory] = process.argv.slice(2);
const { exports } = JSON.parse(readFileSync(directory + "/package.json", "utf8"));
const files = [...new Set(Object.values(exports).map(({ types }) => directory + "/" + types.slice(2)))];
const program = ts.createProgram(files, {
  strict: true, exactOptionalPropertyTypes: true, module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler, skipLibCheck: true, types: [],
});
const checker = program.getTypeChecker();
const flags = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope;
const comment = (symbol) => ts.displayPartsToString(symbol.getDocumentationComment(checker)) +
  symbol.getJsDocTags(checker).map(({ name, text }) => "@" + name + ts.displayPartsToString(text)).join();
const text = (type) => checker.typeToString(type, undefined, flags | ts.TypeFormatFlags.InTypeAlias);
const isOurs = ({ parent }) => parent.getSourceFile().fileName.startsWith(directory);
const isOptional = ({ flags }) => (flags & ts.SymbolFlags.Optional) !== 0;
const members = (type) => type.getProperties().filter(({ declarations }) => declarations?.some(isOurs))
  .map((member) => [member.name, text(checker.getTypeOfSymbol(member)), isOptional(member), comment(member)])
  .sort(([a], [b]) => a < b ? -1 : 1);
const seen = {};
for (const file of files) {
  const source = program.getSourceFile(file);
  const names = seen[file.slice(directory.length)] = { begins: /^\\/\\*\\*[^]*?\\*\\//.exec(source.text)?.[0] };
  for (let symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(source))) {
    const { name } = symbol;
    if (symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    const types = [];
    if (symbol.flags & ts.SymbolFlags.Value) types.push(checker.getTypeOfSymbol(symbol));
    if (symbol.flags & ts.SymbolFlags.Type) types.push(checker.getDeclaredTypeOfSymbol(symbol));
    names[name] = { comment: comment(symbol), types: types.map((type) => [text(type), members(type)]) };
  }
}
console.log(JSON.stringify(seen));
`;

/** What a consumer sees, by the modules. */
type Seen = Record<string, { begins?: string; [name: string]: unknown }>;

Deno.test("the npm package declares the same to a consumer, whichever compiler wrote it", async () => {
  const reader = join(await typescript(), "reader.mjs");
  // Below the repository, so that the packages that the declarations name are found.
  const work = await Deno.makeTempDir({ dir: join(repository, ".cache") });
  const read = async (name: string, compiler?: Compiler): Promise<Seen> => {
    const { directory } = await buildNpmPackage(join(work, name), repository, compiler);
    for (const path of globSync("**/*.d.ts", { cwd: directory })) {
      // Or an object with the public members would not be accepted for the class.
      assert(!(await Deno.readTextFile(join(directory, path))).includes("#private"), path);
    }
    return JSON.parse((await runInDirectory(directory, "node", [reader, directory])).stdout);
  };
  try {
    await Deno.writeTextFile(reader, READER);
    const ours = await read("ours");
    assertEquals(ours, await read("tsc", tsc));
    for (const [module, { begins, ...names }] of Object.entries(ours)) {
      assertStringIncludes(begins ?? "", "@module", module);
      assert(Object.keys(names).length > 0, module);
    }
  } finally {
    await Deno.remove(work, { recursive: true });
  }
});

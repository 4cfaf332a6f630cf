/** What the npm package declares, whichever compiler wrote it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { filesOf } from "../scripts/checks/installation.ts";
import { commonDeclarations } from "../scripts/lib/npm_declarations.ts";
import { NPM_NAME, npmManifest, repositoryFields } from "../scripts/lib/npm_manifest.ts";
import { buildNpmPackage, type Compile } from "../scripts/lib/npm_package.ts";
import { runInDirectory } from "../scripts/lib/npm_process.ts";
import { join, repository } from "../scripts/lib/paths.ts";
import { compileWithPack } from "../scripts/lib/npm_compile_pack.ts";
import { toolProject } from "../scripts/runtimes/npm_project.ts";

const COMPILER = { typescript: "6.0.3", "@types/node": "22.20.5" };

const withPack: Compile = async (root, outDir) => {
  await compileWithPack(root, outDir);
  return "deno pack";
};

/** As dnt does it: TypeScript's own compiler, with dnt's options. */
const withTypeScript: Compile = async (root, outDir, exports) => {
  const tools = await toolProject("typescript-6", COMPILER);
  const config = join(outDir, "tsconfig.json");
  await Deno.mkdir(outDir, { recursive: true });
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      compilerOptions: {
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
      },
      files: Object.values(exports).map((path) => join(root, path)),
    }),
  );
  await runInDirectory(root, join(tools, "node_modules/.bin/tsc"), ["-p", config]);
  // dnt renames modules before it compiles, tsc only in code.
  for await (const path of filesOf(outDir)) {
    if (!path.endsWith(".d.ts")) continue;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replaceAll(/(["'])(\.{1,2}\/[^"']+)\.ts\1/g, '"$2.js"'));
  }
  return "tsc";
};

/**
 * Prints what a consumer sees of a package: names and types of all that its modules export, of the members
 * of these, and the comments on each; and the comments that the modules begin with.
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
const members = (type) => type.getProperties()
  .filter((member) => member.declarations?.some(({ parent }) => parent.getSourceFile().fileName.startsWith(directory)))
  .map((member) => [member.name, text(checker.getTypeOfSymbol(member)), (member.flags & ts.SymbolFlags.Optional) !== 0,
    comment(member)])
  .sort(([a], [b]) => a < b ? -1 : 1);
const seen = {};
for (const file of files) {
  const source = program.getSourceFile(file);
  const name = file.slice(directory.length);
  seen[name] = { begins: /^\\/\\*\\*[^]*?\\*\\//.exec(source.text)?.[0] };
  for (let symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(source))) {
    const exported = symbol.name;
    if (symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    const types = [];
    if (symbol.flags & ts.SymbolFlags.Value) types.push(checker.getTypeOfSymbol(symbol));
    if (symbol.flags & ts.SymbolFlags.Type) types.push(checker.getDeclaredTypeOfSymbol(symbol));
    seen[name][exported] = { comment: comment(symbol), types: types.map((type) => [text(type), members(type)]) };
  }
}
console.log(JSON.stringify(seen));
`;

interface Seen {
  [module: string]: { begins?: string; [name: string]: unknown };
}

Deno.test("both compilers declare the same to a consumer", async () => {
  const work = await Deno.makeTempDir({ dir: join(repository, ".cache") });
  try {
    const tools = await toolProject("typescript-6", COMPILER);
    const reader = join(tools, "reader.mjs");
    await Deno.writeTextFile(reader, READER);
    const seen: Seen[] = [];
    for (const [name, compile] of Object.entries({ pack: withPack, tsc: withTypeScript })) {
      // Below the repository, so that the packages that the declarations name are found.
      const { directory } = await buildNpmPackage(join(work, name), repository, compile);
      const { stdout } = await runInDirectory(directory, "node", [reader, directory]);
      seen.push(JSON.parse(stdout));
      for await (const path of filesOf(directory)) {
        // Or an object with the public members would not be accepted for the class.
        if (path.endsWith(".d.ts")) {
          assert(!(await Deno.readTextFile(path)).includes("#private"), path);
        }
      }
    }
    const [pack, tsc] = seen as [Seen, Seen];
    assertEquals(pack, tsc);
    for (const [module, { begins, ...names }] of Object.entries(pack)) {
      assertStringIncludes(begins ?? "", "@module", module);
      assert(Object.keys(names).length > 0, module);
    }
  } finally {
    await Deno.remove(work, { recursive: true });
  }
});

Deno.test("declarations: no private fields, and the module's comment once", () => {
  const source = "#!/usr/bin/env x\n/** T\n *\n * @module\n */\nexport class A { #a = 1; }\n";
  const expected = "/** T\n *\n * @module\n */\nexport declare class A {\n}\n";
  for (
    const declarations of [
      "export declare class A {\n}\n",
      "#!/usr/bin/env x\nexport declare class A {\n    #private;\n}\n",
      "/** T\n *\n * @module\n */\nexport declare class A {\n    #private;\n}\n",
    ]
  ) {
    assertEquals(commonDeclarations(declarations, source), expected);
  }
  assertEquals(commonDeclarations("export {};\n", "/** No title */\n"), "export {};\n");
});

Deno.test("manifest: the repository is left out until it is known", async () => {
  assertEquals(repositoryFields(""), {});
  assertEquals(repositoryFields("https://example.com/a/b"), {
    repository: { type: "git", url: "git+https://example.com/a/b.git" },
    homepage: "https://example.com/a/b#readme",
    bugs: "https://example.com/a/b/issues",
  });
  const source = JSON.parse(await Deno.readTextFile(join(repository, "deno.json")));
  assertEquals(npmManifest(source).name, NPM_NAME);
});

import { resolve } from "node:path";
import ts from "typescript";

/**
 * Finds promises in `src` whose failure is not handled and that the linter does not see: behind `void`, and from a
 * function that is passed to a caller that expects no promise. A failure counts as handled after `.catch(…)` and after
 * `.then(…, …)`. Each rule must first find the violation that is planted for it here, and nothing in the innocent.
 */
const root = resolve(import.meta.dirname, "..");

const PLANT = "src/planted-promises.ts";
const PLANTED = `
declare function work(): Promise<void>;
declare function on(listener: () => void): void;
declare const emitter: { tell?: () => void };
work();
void work();
void work().then(() => undefined);
void work().finally(() => undefined);
on(async () => undefined);
on(() => work());
emitter.tell = async () => undefined;
export const listeners: { readonly close: () => void } = { close: () => work() };
`;
const VIOLATIONS = 8;
const INNOCENT = `
void work().catch(() => undefined);
void work().then(() => undefined, () => undefined).finally(() => undefined);
on(() => void work().catch(() => undefined));
on(() => undefined);
export const later = work();
export const given: () => Promise<void> = () => work();
`;

const config = ts.getParsedCommandLineOfConfigFile(
  resolve(root, "tsconfig.json"),
  {},
  {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
      throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"));
    },
  },
);
if (config === undefined) throw new Error("there is no tsconfig.json");
const sources = config.fileNames.filter(
  (name) => name.startsWith(`${root}/src/`) && !name.endsWith(".test.ts") && !name.includes("/generated/"),
);

const plantedAt = resolve(root, PLANT);
const host = ts.createCompilerHost(config.options);
const { readFile, fileExists } = host;
host.readFile = (name) => (name === plantedAt ? PLANTED + INNOCENT : readFile(name));
host.fileExists = (name) => name === plantedAt || fileExists(name);
const program = ts.createProgram([...sources, plantedAt], config.options, host);
const checker = program.getTypeChecker();

function isPromise(type: ts.Type): boolean {
  return type.getProperty("then") !== undefined && type.getProperty("catch") !== undefined;
}

function mayBePromise(node: ts.Expression): boolean {
  const type = checker.getTypeAtLocation(node);
  return type.isUnion() ? type.types.some(isPromise) : isPromise(type);
}

function bare(node: ts.Expression): ts.Expression {
  return ts.isParenthesizedExpression(node) ? bare(node.expression) : node;
}

/** Whether a failure of the expression's promise is handled. */
function isHeard(node: ts.Expression): boolean {
  const call = bare(node);
  if (ts.isVoidExpression(call)) return true;
  if (!ts.isCallExpression(call) || !ts.isPropertyAccessExpression(call.expression)) return false;
  const { name, expression } = call.expression;
  if (name.text === "catch") return call.arguments.length > 0;
  if (name.text === "then") return call.arguments.length > 1;
  return name.text === "finally" && isHeard(expression);
}

/** A function whose promise goes to a caller that expects none. */
function isPassedAsVoid(node: ts.ArrowFunction | ts.FunctionExpression): boolean {
  const wanted = checker.getContextualType(node)?.getCallSignatures() ?? [];
  const isVoid =
    wanted.length > 0 && wanted.every((one) => (one.getReturnType().flags & ts.TypeFlags.Void) !== 0);
  if (!isVoid) return false;
  if (node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword)) return true;
  return !ts.isBlock(node.body) && mayBePromise(node.body) && !isHeard(node.body);
}

function isFloating(node: ts.Node): boolean {
  if (ts.isExpressionStatement(node)) {
    const made = bare(node.expression);
    const isAssigned = ts.isBinaryExpression(made) || ts.isAwaitExpression(made) || ts.isVoidExpression(made);
    return !isAssigned && mayBePromise(made) && !isHeard(made);
  }
  if (ts.isVoidExpression(node))
    return (
      !ts.isAwaitExpression(bare(node.expression)) &&
      mayBePromise(node.expression) &&
      !isHeard(node.expression)
    );
  return (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) && isPassedAsVoid(node);
}

function findIn(name: string): readonly string[] {
  const source = program.getSourceFile(name);
  if (source === undefined) throw new Error(`${name} was not read`);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (isFloating(node)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      const [text = ""] = node.getText().split("\n");
      found.push(`${name.slice(root.length + 1)}:${line + 1}: ${text}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const planted = findIn(plantedAt);
if (planted.length !== VIOLATIONS)
  throw new Error(`of ${VIOLATIONS} planted promises only these were found:\n${planted.join("\n")}`);
const found = sources.flatMap(findIn);
if (found.length > 0) {
  process.stderr.write(`Failures of these promises are not handled:\n${found.join("\n")}\n`);
  process.exitCode = 1;
} else process.stdout.write(`${sources.length} files: every promise is awaited, or its failure is handled\n`);

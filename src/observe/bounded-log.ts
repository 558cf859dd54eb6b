import type { Log } from "./log.ts";

/** Lines that a plugin can cause at will. `by`: the fields that identify the cause. */
interface Rule {
  readonly by: readonly string[];
  /** So many lines a second are written as they are; one more counts the rest. */
  readonly linesMax: number;
  /** If a plugin causes only some of the lines with this name. */
  readonly appliesTo?: (fields: object) => boolean;
}

const RULES: Readonly<Record<string, Rule>> = {
  "runtime.notice": { by: ["runtime", "kind"], linesMax: 1 },
  "link.delivery_failed": { by: ["runtime"], linesMax: 1 },
  "session.end_failed": { by: [], linesMax: 1 },
  "invocation.host_call": { by: ["tenant_id", "plugin"], linesMax: 20 },
  // A plugin's call of another plugin; every other call is a request from outside.
  "invocation.invoke": {
    by: ["tenant_id", "plugin"],
    linesMax: 20,
    appliesTo: (fields) => Reflect.get(fields, "depth") !== undefined,
  },
};

const PERIOD_MS = 1000;
/** Most causes that are counted apart within a second; all further ones share a count. */
const WINDOWS_MAX = 10_000;

type Level = "debug" | "info" | "warn" | "error";

interface Window {
  lines: number;
  /** The last line that was not written, and the number of such lines. */
  held: { readonly level: Level; readonly fields: object; readonly message: string | undefined } | undefined;
  heldLines: number;
}

export interface BoundedLog extends Log, Disposable {}

/**
 * Wraps a log so that no plugin can flood it. Of the lines that a plugin can cause at will, it writes `linesMax` a second
 * for each cause, then one with the fields of the last and `repeated`, the number of lines that it stands for. Disposing
 * it writes the counts that are left.
 */
export function boundLog(log: Log): BoundedLog {
  const windows = new Map<string, Window>();
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    timer = undefined;
    for (const [key, window] of windows) {
      const { held, heldLines } = window;
      // A window without a line for a whole period is removed.
      if (window.lines === 0) windows.delete(key);
      window.lines = 0;
      window.held = undefined;
      window.heldLines = 0;
      if (held !== undefined) log[held.level]({ ...held.fields, repeated: heldLines }, held.message);
    }
    if (windows.size > 0) wait();
  };
  const wait = () => {
    timer ??= setTimeout(flush, PERIOD_MS);
    timer.unref();
  };
  const mayWrite = (level: Level, fields: object, message: string | undefined): boolean => {
    const rule = ruleOf(fields);
    if (rule === undefined) return true;
    const window = windowOf(windows, fields, rule);
    wait();
    window.lines++;
    if (window.lines <= rule.linesMax) return true;
    window.held = { level, fields, message };
    window.heldLines++;
    return false;
  };
  return Object.assign(wrapped(log, mayWrite), {
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      flush();
      clearTimeout(timer);
    },
  });
}

function wrapped(
  log: Log,
  mayWrite: (level: Level, fields: object, message: string | undefined) => boolean,
): Log {
  const write = (level: Level) => (fields: object, message?: string) => {
    if (mayWrite(level, fields, message)) log[level](fields, message);
  };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => wrapped(log.child(fields), mayWrite),
  };
}

function ruleOf(fields: object): Rule | undefined {
  const op: unknown = Reflect.get(fields, "op");
  const rule = typeof op === "string" && Object.hasOwn(RULES, op) ? RULES[op] : undefined;
  return rule?.appliesTo === undefined || rule.appliesTo(fields) ? rule : undefined;
}

function windowOf(windows: Map<string, Window>, fields: object, { by }: Rule): Window {
  const cause = ["op", ...by].map((name) => String(Reflect.get(fields, name)));
  const key = windows.size < WINDOWS_MAX ? JSON.stringify(cause) : "others";
  const known = windows.get(key);
  if (known !== undefined) return known;
  const window: Window = { lines: 0, held: undefined, heldLines: 0 };
  windows.set(key, window);
  return window;
}

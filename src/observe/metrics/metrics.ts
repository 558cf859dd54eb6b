/**
 * Counts the wide events of the log as metrics: each unit of work ends with exactly one, so that log and metrics agree.
 * Labels have values that the code fixes (routes as patterns, operations, codes, statuses), never a tenant or an
 * address, and a plugin only for its network and its containers.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Log } from "../log.ts";

export interface Metrics {
  /** Passes lines on to the log and counts them. */
  tap(log: Log): Log;
  /** A gauge; the value is read when the metrics are requested. */
  gauge(name: string, help: string, read: () => number): void;
  /** A gauge with one value for each plugin. */
  gaugeOfPlugins(name: string, help: string, read: () => ReadonlyMap<string, number>): void;
  /** The text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
}

export interface MetricsOptions {
  /** Adds Node's own metrics: memory, processor time, event loop, garbage collection. They cannot be stopped. */
  readonly ofProcess: boolean;
}

/** From a millisecond to the longest call that an operator allows by default. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600];

export function createMetrics({ ofProcess }: MetricsOptions): Metrics {
  const registry = new Registry();
  if (ofProcess) collectDefaultMetrics({ register: registry });
  const counts = new Map(EVENTS.map((event) => [event.op, countsOf(event, registry)]));
  const count = (fields: object): void => {
    const op: unknown = Reflect.get(fields, "op");
    if (typeof op === "string") counts.get(op)?.(fields);
  };
  return {
    tap: (log) => tapped(log, count),
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    },
    gaugeOfPlugins(name, help, read) {
      new Gauge({
        name,
        help,
        labelNames: ["plugin"],
        registers: [registry],
        collect() {
          // A plugin that is gone has no value any more.
          this.reset();
          for (const [plugin, value] of read()) this.set({ plugin }, value);
        },
      });
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** A wide event and its labels: field to the value that stands for a missing one. */
interface CountedEvent {
  readonly op: string;
  readonly name: string;
  readonly help: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Labels of the duration, if the event has one. */
  readonly durationBy: readonly string[];
  /** The field with the number of occurrences; without one the event counts once. */
  readonly countedBy?: string;
  /** Fields that are added up. */
  readonly sums?: Readonly<Record<string, string>>;
}

const EVENTS: readonly CountedEvent[] = [
  {
    op: "invocation.invoke",
    name: "berth_calls",
    help: "Calls of plugins",
    labels: { type: "", action: "", code: "ok" },
    durationBy: ["type", "action"],
  },
  {
    op: "hook.serve",
    name: "berth_hooks",
    help: "Requests to hooks",
    labels: { status: "0", code: "ok" },
    durationBy: [],
    sums: {
      bytes_in: "Bodies of requests to hooks, in bytes",
      bytes_out: "Bodies of answers of hooks, in bytes",
    },
  },
  {
    op: "http.request",
    name: "berth_http_requests",
    help: "HTTP requests other than calls of plugins",
    labels: { method: "", route: "call", status: "0" },
    durationBy: ["route"],
  },
  {
    op: "egress.refused",
    name: "berth_egress_refused",
    help: "Connections of plugins that the network's rules refused",
    labels: { plugin: "" },
    durationBy: [],
    countedBy: "count",
  },
  {
    op: "egress.allowed",
    name: "berth_egress_allowed",
    help: "Connections of plugins that left Berth's network",
    labels: { plugin: "" },
    durationBy: [],
    countedBy: "count",
  },
  {
    op: "process.exception",
    name: "berth_exceptions",
    help: "Uncaught exceptions",
    labels: { unit: "unknown", verdict: "" },
    durationBy: [],
  },
  {
    op: "runtime.launch",
    name: "berth_runtime_launches",
    help: "Starts of plugins' Containers",
    labels: { code: "ok" },
    durationBy: [],
  },
  {
    op: "runtime.notice",
    name: "berth_runtime_notices",
    help: "Irregular events on links to plugins",
    labels: { kind: "" },
    durationBy: [],
    sums: { count: "Refused hellos and control messages" },
  },
];

function countsOf(event: CountedEvent, registry: Registry): (fields: object) => void {
  const { name, help, labels, durationBy, countedBy, sums = {} } = event;
  const registers = [registry];
  const total = new Counter({ name: `${name}_total`, help, labelNames: Object.keys(labels), registers });
  const seconds = new Histogram({
    name: `${name}_duration_seconds`,
    help: `${help}: duration`,
    labelNames: [...durationBy],
    buckets: SECONDS,
    registers,
  });
  const added = Object.entries(sums).map(([field, about]) => {
    const counter = new Counter({ name: `${name}_${field}_total`, help: about, registers });
    return { field, counter };
  });
  return (fields) => {
    total.inc(
      Object.fromEntries(Object.entries(labels).map(([key, none]) => [key, labelOf(fields, key, none)])),
      countedBy === undefined ? 1 : Number(Reflect.get(fields, countedBy)),
    );
    const ms: unknown = Reflect.get(fields, "duration_ms");
    if (typeof ms === "number") {
      const by = Object.fromEntries(durationBy.map((key) => [key, labelOf(fields, key, labels[key] ?? "")]));
      seconds.observe(by, ms / 1000);
    }
    for (const { field, counter } of added) counter.inc(Number(Reflect.get(fields, field) ?? 0));
  };
}

/** Events write methods in upper or lower case. */
function labelOf(fields: object, key: string, none: string): string {
  const value: unknown = Reflect.get(fields, key);
  const text = value === undefined ? none : String(value);
  return key === "method" ? text.toUpperCase() : text;
}

function tapped(log: Log, count: (fields: object) => void): Log {
  const through =
    (write: (fields: object, message?: string) => void) => (fields: object, message?: string) => {
      count(fields);
      write(fields, message);
    };
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: through((fields, message) => log.info(fields, message)),
    warn: through((fields, message) => log.warn(fields, message)),
    error: through((fields, message) => log.error(fields, message)),
    child: (fields) => tapped(log.child(fields), count),
  };
}

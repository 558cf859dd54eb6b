/**
 * Writes and reads all labels that mark something as Berth's. An engine may hold things of several Berths and of others:
 * labels that do not parse are not ours, and what carries them is left alone.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { ContainerSpec } from "../domain/container.ts";
import type { LabelFilter } from "./engine.ts";

const KINDS = ["runtime", "build", "image", "network", "claim", "egress", "probe", "doctor", "dev"] as const;

const LABELS = {
  instance: "berth.instance",
  kind: "berth.kind",
  tenant: "berth.tenant",
  pool: "berth.pool",
  runtime: "berth.runtime",
  imageKey: "berth.image-key",
  specHash: "berth.spec-hash",
  generation: "berth.generation",
  dataFolder: "berth.data-folder",
  database: "berth.database",
  process: "berth.process",
} as const satisfies Record<keyof BerthLabels, string>;

/** Which Berth made a container, image, network or mark, and for what. */
export interface BerthLabels {
  /** The random id of one Berth, made once and kept in its database. */
  readonly instance: string;
  readonly kind: (typeof KINDS)[number];
  /** Absent if tenants share it. */
  readonly tenant?: string | undefined;
  readonly pool?: string | undefined;
  readonly runtime?: string | undefined;
  readonly imageKey?: string | undefined;
  readonly specHash?: string | undefined;
  readonly generation?: number | undefined;
  /** Of the Berth that holds the instance id on this engine. */
  readonly dataFolder?: string | undefined;
  readonly database?: string | undefined;
  /** The process that made it, if nothing else needs it after that process ends. */
  readonly process?: string | undefined;
}

// Labels that were removed from an image come back empty, so empty means absent.
const text = z
  .string()
  .max(512)
  .optional()
  .transform((value) => (value === "" ? undefined : value));

const Parsed = z.object({
  instance: z.string().min(1).max(512),
  kind: z.enum(KINDS),
  tenant: text,
  pool: text,
  runtime: text,
  imageKey: text,
  specHash: text,
  generation: z
    .string()
    .regex(/^(?:\d{1,9})?$/)
    .optional()
    .transform((value) => (value === undefined || value === "" ? undefined : Number(value))),
  dataFolder: text,
  database: text,
  process: text,
});

export function formatLabels(labels: BerthLabels): Record<string, string> {
  return format(labels);
}

/** The filter for things that carry all of these labels. */
export function formatLabelFilter(labels: Partial<BerthLabels>): LabelFilter {
  return format(labels);
}

/** Undefined if the labels are not ours or cannot be read. */
export function parseLabels(labels: Readonly<Record<string, string>>): BerthLabels | undefined {
  const raw = Object.fromEntries(Object.entries(LABELS).map(([field, label]) => [field, labels[label]]));
  const parsed = Parsed.safeParse(raw);
  return parsed.success ? parsed.data : undefined;
}

/**
 * SHA-256 (hex) over everything in the spec that changes how the container behaves: all but its name and labels. The
 * order of keys does not count, that of lists does.
 */
export function specHash(spec: ContainerSpec): string {
  const { name: _name, labels: _labels, ...behaviour } = spec;
  return createHash("sha256").update(canonical(behaviour)).digest("hex");
}

function format(labels: Partial<BerthLabels>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels)
      .filter(([, value]) => value !== undefined)
      .map(([field, value]) => [labelOf(field), String(value)]),
  );
}

function labelOf(field: string): string {
  for (const [name, label] of Object.entries(LABELS)) if (name === field) return label;
  throw new Error(`no label is defined for ${field}`);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

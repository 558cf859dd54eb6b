/**
 * An install task as clients of dify-plugin-daemon read it: one item per package, each with a status and a message.
 * Berth derives it from its own tasks, which do the work.
 */

import { z } from "zod";
import type { FaultJson } from "./fault.ts";
import type { TaskId, TenantId } from "./ids.ts";
import { isMap, type JsonMap } from "./json.ts";
import type { DeclarationJson } from "./package.ts";
import type { TaskState } from "./task.ts";

export type InstallStatus = "pending" | "running" | "success" | "failed";

export interface InstallTask {
  readonly id: TaskId;
  readonly tenantId: TenantId;
  readonly status: InstallStatus;
  /** Number of packages that were asked for; an item that the client removed still counts. */
  readonly total: number;
  readonly completed: number;
  readonly items: readonly InstallItem[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface InstallItem {
  readonly identifier: string;
  readonly pluginId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly icon: string;
  readonly iconDark: string;
  readonly status: InstallStatus;
  readonly message: string;
  readonly source: string;
}

/** What is known about the work on an item. */
export interface ItemWork {
  readonly isUpgrade: boolean;
  readonly state: "pending" | "ready" | "failed";
  readonly cause: FaultJson | undefined;
  /** The task that works on it, or did. */
  readonly task:
    | {
        readonly state: TaskState;
        readonly cause: FaultJson | undefined;
        readonly progress: string | undefined;
      }
    | undefined;
}

/** Without a declaration the item has no label and no icon. */
export function newItem(
  { identifier, pluginId, source }: Pick<InstallItem, "identifier" | "pluginId" | "source">,
  declaration: DeclarationJson | undefined,
): InstallItem {
  return {
    identifier,
    pluginId,
    source,
    labels: labelsOf(declaration?.["label"]),
    icon: textOf(declaration?.["icon"]),
    iconDark: textOf(declaration?.["icon_dark"]),
    status: "pending",
    message: "",
  };
}

/** Items that the client removed are not listed but still count. */
export function withWork(task: InstallTask, works: ReadonlyMap<string, ItemWork>): InstallTask {
  const of = (work: ItemWork) => showWork(work);
  const items = task.items.map((item) => {
    const work = works.get(item.identifier);
    return work === undefined ? item : { ...item, ...of(work) };
  });
  const statuses = [...works.values()].map((work) => of(work).status);
  const completed = statuses.filter((status) => status === "success").length;
  return { ...task, items, completed, status: statusOf(statuses) };
}

/** One failed item makes the task failed at once, also while others still run. */
function statusOf(statuses: readonly InstallStatus[]): InstallStatus {
  if (statuses.includes("failed")) return "failed";
  return statuses.every((status) => status === "success") ? "success" : "running";
}

function showWork(work: ItemWork): Pick<InstallItem, "status" | "message"> {
  const { state, task, isUpgrade } = work;
  if (state === "ready" || (state === "pending" && task?.state === "ready"))
    return { status: "success", message: isUpgrade ? "upgraded" : "installed" };
  if (state === "failed") return failedWith(work.cause);
  if (task === undefined) return { status: "pending", message: "" };
  if (task.state === "failed" || task.state === "cancelled") return failedWith(task.cause);
  if (task.state === "queued") return { status: "pending", message: "queued" };
  const { progress } = task;
  return {
    status: "running",
    message: shorten(progress === undefined ? task.state : `${task.state}: ${progress}`),
  };
}

/** The message of the cause, then its code. */
function failedWith(cause: FaultJson | undefined): Pick<InstallItem, "status" | "message"> {
  const { message, code } = cause ?? {
    message: "The installation failed without a recorded cause.",
    code: "internal",
  };
  const word = lastWord(cause?.details?.["logs"]);
  const said = word === undefined ? message : `${message} ${word}`;
  return { status: "failed", message: shorten(`${said} (${code})`) };
}

/** The last line of output of a plugin that did not start: most often that is the reason. */
function lastWord(logs: unknown): string | undefined {
  const lines: readonly unknown[] = Array.isArray(logs) ? logs : [];
  return lines
    .filter((line): line is string => typeof line === "string" && line.trim() !== "")
    .at(-1)
    ?.trim();
}

/** A task whose process is gone: its unfinished items count as failed. */
export function abandoned(task: InstallTask): InstallTask {
  const items = task.items.map((item) =>
    item.status === "success" || item.status === "failed"
      ? item
      : { ...item, status: "failed" as const, message: ABANDONED },
  );
  const isDone = items.every(({ status }) => status === "success");
  return { ...task, items, status: isDone ? "success" : "failed" };
}
const ABANDONED = "The process that ran this installation stopped before it was done; install it again.";

/** In bytes. A longer message keeps its beginning and its end. */
const MESSAGE_BYTES_MAX = 1024;
const HALF_BYTES = 512;

function shorten(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= MESSAGE_BYTES_MAX) return message;
  const cut = HALF_BYTES - 3;
  return `${whole(bytes.subarray(0, cut))}...${whole(bytes.subarray(-cut))}`;
}

/** Removes the character that the cut has split, at either end. */
function whole(bytes: Buffer): string {
  return bytes.toString().replace(/^\uFFFD+|\uFFFD+$/g, "");
}

/** As the database and answers have it. */
export function itemJson(item: InstallItem): JsonMap {
  return {
    plugin_unique_identifier: item.identifier,
    labels: item.labels,
    icon: item.icon,
    icon_dark: item.iconDark,
    plugin_id: item.pluginId,
    status: item.status,
    message: item.message,
    source: item.source,
  };
}

/** Entries that cannot be read are skipped. */
export function parseItems(text: string | null): InstallItem[] {
  return itemsOf(text)
    .filter(isMap)
    .map((item) => ({
      identifier: textOf(item["plugin_unique_identifier"]),
      pluginId: textOf(item["plugin_id"]),
      labels: labelsOf(item["labels"]),
      icon: textOf(item["icon"]),
      iconDark: textOf(item["icon_dark"]),
      status: parseStatus(item["status"]),
      message: textOf(item["message"]),
      source: textOf(item["source"]),
    }));
}

export function parseStatus(value: unknown): InstallStatus {
  return STATUSES.find((status) => status === value) ?? "pending";
}
const STATUSES = ["pending", "running", "success", "failed"] as const;

function itemsOf(text: string | null): unknown[] {
  try {
    const value: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function labelsOf(value: unknown): Record<string, string> {
  const texts = Object.entries(isMap(value) ? value : {}).filter(isText);
  return { en_US: "", ...Object.fromEntries(texts) };
}

function isText(entry: [string, unknown]): entry is [string, string] {
  return typeof entry[1] === "string";
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

const BatchItem = z.object({
  identifier: z.string(),
  /** Of an upgrade: the identifier that it replaces. */
  original: z.string().optional(),
  /** Where it comes from, in the client's own words. */
  source: z.string(),
  meta: z.record(z.string(), z.unknown()),
});

export type BatchItem = z.infer<typeof BatchItem>;

/** The input of a `batch` task. */
export const BatchInput = z.object({ items: z.array(BatchItem) });

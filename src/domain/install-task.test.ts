import { describe, expect, test } from "vitest";
import { TaskId, TenantId } from "./ids.ts";
import {
  abandoned,
  type InstallTask,
  type ItemWork,
  itemJson,
  newItem,
  parseItems,
  withWork,
} from "./install-task.ts";

const A = `acme/a:1.0.0@${"a".repeat(64)}`;
const B = `acme/b:1.0.0@${"b".repeat(64)}`;

const anItem = (identifier: string) =>
  newItem({ identifier, pluginId: identifier.split(":")[0] ?? "", source: "github" }, undefined);

function aTask(...identifiers: readonly string[]): InstallTask {
  return {
    id: TaskId.parse(crypto.randomUUID()),
    tenantId: TenantId.parse(crypto.randomUUID()),
    status: "running",
    total: identifiers.length,
    completed: 0,
    items: identifiers.map(anItem),
    createdAt: new Date(0),
    updatedAt: new Date(0),
  };
}

const work = (changes: Partial<ItemWork> = {}): ItemWork => ({
  isUpgrade: false,
  state: "pending",
  cause: undefined,
  task: undefined,
  ...changes,
});
const at = (state: "queued" | "building" | "ready" | "cancelled", progress?: string) =>
  work({ task: { state, cause: { code: "cancelled", message: "It was cancelled." }, progress } });

const shownOf = (one: ItemWork) => {
  const { status, message } = withWork(aTask(A), new Map([[A, one]])).items[0] ?? anItem(A);
  return [status, message];
};

describe("an item", () => {
  test.each([
    ["that has not begun is pending", work(), ["pending", ""]],
    ["whose task waits for a worker is pending", at("queued"), ["pending", "queued"]],
    ["in progress reports its step", at("building"), ["running", "building"]],
    [
      "in progress reports its step and its progress",
      at("building", "3 of 7 wheels"),
      ["running", "building: 3 of 7 wheels"],
    ],
    ["whose task is ready is installed", at("ready"), ["success", "installed"]],
    ["of an upgrade is reported as upgraded", { ...at("ready"), isUpgrade: true }, ["success", "upgraded"]],
    [
      "that was installed before is reported as installed",
      work({ state: "ready" }),
      ["success", "installed"],
    ],
    ["whose task was cancelled has failed", at("cancelled"), ["failed", "It was cancelled. (cancelled)"]],
    [
      "that failed reports the reason and the code",
      work({ state: "failed", cause: { code: "start_crashed", message: "It exits with 1." } }),
      ["failed", "It exits with 1. (start_crashed)"],
    ],
    [
      "that did not start reports its last line of output",
      work({
        state: "failed",
        cause: {
          code: "start_crashed",
          message: "It exits with 1.",
          details: { logs: ["a", "ImportError: x", " "] },
        },
      }),
      ["failed", "It exits with 1. ImportError: x (start_crashed)"],
    ],
  ] as const)("%s", (_name, one, shown) => {
    expect(shownOf(one)).toEqual(shown);
  });

  test("has a message of at most 1024 bytes: the beginning and the end, without half a character", () => {
    const text = (message: string) =>
      shownOf(work({ state: "failed", cause: { code: "build_failed", message } }))[1] ?? "";
    expect(text("x".repeat(1024 - " (build_failed)".length))).toHaveLength(1024);
    for (const message of ["x".repeat(5000), `${"é".repeat(300)}x${"漢😀".repeat(400)}`, "😀".repeat(2000)]) {
      const shown = text(message);
      expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(1024);
      expect(Buffer.byteLength(shown)).toBeGreaterThan(1000);
      expect(shown).not.toContain("\uFFFD");
      expect(shown.endsWith(" (build_failed)")).toBe(true);
      expect(shown).toContain("...");
    }
  });

  test("shows labels and icons of its declaration, and empty texts without a declaration", () => {
    const label = { en_US: "Echo", zh_Hans: "回声", ja_JP: 5 };
    const item = newItem(
      { identifier: A, pluginId: "acme/a", source: "package" },
      { label, icon: "i.svg", icon_dark: null },
    );
    expect(itemJson(item)).toEqual({
      plugin_unique_identifier: A,
      plugin_id: "acme/a",
      labels: { en_US: "Echo", zh_Hans: "回声" },
      icon: "i.svg",
      icon_dark: "",
      status: "pending",
      message: "",
      source: "package",
    });
    expect(itemJson(anItem(B))).toMatchObject({ labels: { en_US: "" }, icon: "", icon_dark: "" });
    expect(parseItems(JSON.stringify([itemJson(item)]))).toEqual([item]);
  });
});

describe("a task", () => {
  const states = (...works: readonly ItemWork[]) =>
    withWork(aTask(A, B), new Map([A, B].map((one, place) => [one, works[place] ?? work()])));

  test("runs until each item has succeeded, fails as soon as one item fails, and continues to count", () => {
    const failed = work({ state: "failed" });
    expect(states(at("ready"), at("building"))).toMatchObject({ status: "running", completed: 1, total: 2 });
    expect(states(at("ready"), at("ready"))).toMatchObject({ status: "success", completed: 2 });
    expect(states(failed, at("building"))).toMatchObject({ status: "failed", completed: 0 });
    expect(states(failed, at("ready"))).toMatchObject({ status: "failed", completed: 1 });
  });

  test("counts an item that the client has removed, but does not show it", () => {
    const works = new Map([A, B].map((one) => [one, at("ready")]));
    const { items, ...rest } = withWork({ ...aTask(A), total: 2 }, works);
    expect(items.map(({ identifier }) => identifier)).toEqual([A]);
    expect(rest).toMatchObject({ status: "success", completed: 2, total: 2 });
  });

  test("whose process has died has failed, except for its finished items", () => {
    const [a, b] = [anItem(A), anItem(B)];
    const left = abandoned({ ...aTask(A, B), items: [{ ...a, status: "success", message: "installed" }, b] });
    expect(left.status).toBe("failed");
    expect(left.items.map(({ status }) => status)).toEqual(["success", "failed"]);
    expect(left.items[1]?.message).toContain("install it again");
  });

  test.each([null, "", "null", "{}", "[1,null,[]]", "{broken"])(
    "whose items are stored as %j has no items",
    (text) => {
      expect(parseItems(text)).toEqual([]);
    },
  );
});

import { expect, it, vi } from "vitest";
import { type Marks, Watch } from "./watch.ts";

const NOTHING: Marks = {
  installations: "",
  pools: "",
  runtimes: "",
  egress: "",
  keys: "",
  quotas: "",
  processes: "",
  tasks: false,
  debugConnections: false,
  diskRuns: false,
  shownTasks: false,
  upgrades: false,
  takeover: false,
};

function watched() {
  const rows = { marks: NOTHING, keys: ["first"] };
  const readMarks = vi.fn(async () => ({ ...rows.marks }));
  const readKeys = vi.fn(async () => [...rows.keys]);
  const watch = new Watch(readMarks);
  const change = (...keys: string[]) => {
    rows.keys = keys;
    rows.marks = { ...rows.marks, keys: keys.join() };
  };
  return { rows, watch, readMarks, readKeys, change, keys: watch.remember("keys", readKeys) };
}

it("polls of one moment share one statement", async () => {
  const { watch, readMarks, keys } = watched();
  await Promise.all([keys(), keys(), watch.hasWork("tasks"), watch.mark("pools")]);
  expect(readMarks).toHaveBeenCalledOnce();
});

it("reads rows again after a change of them, and not before", async () => {
  const { keys, readKeys, rows, change } = watched();
  expect(await keys()).toEqual(["first"]);
  rows.marks = { ...rows.marks, pools: "changed" };
  expect(await keys()).toEqual(["first"]);
  expect(readKeys).toHaveBeenCalledOnce();
  change("second");
  expect(await keys()).toEqual(["second"]);
  expect(readKeys).toHaveBeenCalledTimes(2);
});

it("a call while the statement runs sees what was written meanwhile", async () => {
  const { watch, readMarks, rows } = watched();
  const { promise: answered, resolve: answer } = Promise.withResolvers<Marks>();
  readMarks.mockImplementationOnce(() => answered);
  const early = watch.hasWork("tasks");
  await vi.waitUntil(() => readMarks.mock.calls.length === 1);
  rows.marks = { ...NOTHING, tasks: true };
  const late = watch.hasWork("tasks");
  answer(NOTHING);
  expect(await early).toBe(false);
  expect(await late).toBe(true);
});

it("rows that change while they are read are read once more", async () => {
  const { keys, readKeys, change } = watched();
  readKeys.mockImplementationOnce(async () => {
    change("second");
    return ["first"];
  });
  expect(await keys()).toEqual(["first"]);
  expect(await keys()).toEqual(["second"]);
});

it("the failure of a statement or of a read reaches the caller, and the next call reads again", async () => {
  const { keys, readMarks, readKeys } = watched();
  readMarks.mockRejectedValueOnce(new Error("no marks"));
  await expect(keys()).rejects.toThrow("no marks");
  readKeys.mockRejectedValueOnce(new Error("no rows"));
  await expect(keys()).rejects.toThrow("no rows");
  expect(await keys()).toEqual(["first"]);
});

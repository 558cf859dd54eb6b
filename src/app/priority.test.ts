import { expect, test, vi } from "vitest";
import { silentLog } from "../observe/log.ts";
import { takePriority } from "./priority.ts";

test.each([
  ["the process's own", { process: refuse("EACCES"), session: vi.fn() }],
  ["the session's", { process: vi.fn(), session: refuse("EPERM") }],
])("without the right to set %s, Berth logs that and continues", (_, set) => {
  const info = vi.fn();
  takePriority({ nice: -5, log: { ...silentLog, info }, set });
  expect(info.mock.calls).toEqual([
    [
      { op: "process.priority", ok: false, nice: -5, err: expect.any(Error) },
      "Berth keeps the priority that it was started with.",
    ],
  ]);
});

test.each([
  ["ENOENT", "a kernel without session groups"],
  ["EINVAL", "a session without a group"],
])("after %s from %s, only the process's own priority is set and nothing is logged", (code) => {
  const info = vi.fn();
  const set = { process: vi.fn(), session: refuse(code) };
  takePriority({ nice: -5, log: { ...silentLog, info }, set });
  expect(set.process.mock.calls).toEqual([[-5]]);
  expect(info).not.toHaveBeenCalled();
});

function refuse(code: string): () => void {
  return () => {
    throw Object.assign(new Error("refused"), { code });
  };
}

import { expect, test, vi } from "vitest";
import { silentLog } from "../observe/log.ts";
import { takePriority } from "./priority.ts";

test("without the right to set it, Berth logs that and continues", () => {
  const info = vi.fn();
  const refused = Object.assign(new Error("permission denied"), { code: "EACCES" });
  const set = () => {
    throw refused;
  };
  takePriority({ nice: -5, log: { ...silentLog, info }, set });
  expect(info.mock.calls).toEqual([
    [
      { op: "process.priority", ok: false, nice: -5, err: refused },
      "Berth keeps the priority that it was started with.",
    ],
  ]);
});

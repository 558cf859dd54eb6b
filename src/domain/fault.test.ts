import { expect, test } from "vitest";
import { FAULTS, type FaultCode, type FaultRule } from "./fault.ts";

/** Codes of what passes by itself. The three questions have the same answer for each code now. */
const PASSES: readonly FaultCode[] = [
  "request_timeout",
  "disk_full",
  "index_unreachable",
  "name_not_resolved",
  "start_interrupted",
  "image_missing",
  "quota_calls",
  "quota_memory",
  "host_full",
  "source_rate_limited",
  "source_unreachable",
  "source_timeout",
  "plugin_crashed",
  "plugin_not_ready",
  "link_lost",
  "busy",
  "platform_unavailable",
  "engine_unavailable",
  "store_unavailable",
  "package_store_unavailable",
  "queue_unavailable",
  "lease_lost",
  "task_waits",
  "too_many_connections",
  "answer_timeout",
  "shutting_down",
];

function codesWith(column: keyof FaultRule, value: unknown): readonly FaultCode[] {
  return (Object.keys(FAULTS) as FaultCode[]).filter((code) => FAULTS[code][column] === value);
}

test("a task is tried again after these codes, and after no other", () => {
  expect(codesWith("retry", true)).toEqual(PASSES);
});

test("a start is put off after these codes, and after no other", () => {
  expect(codesWith("backOff", true)).toEqual(PASSES);
});

test("a Dify platform is told to ask again after these codes, and after no other", () => {
  expect(codesWith("passing", true)).toEqual(PASSES);
});

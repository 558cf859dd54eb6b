import { describe, expect, test } from "vitest";
import { FAULTS, Fault, type FaultCode, type FaultDetails } from "../../../domain/fault.ts";
import { brokenCall, refusedCall, refusedVersion } from "./call-failure.ts";

const fault = (code: FaultCode, details: FaultDetails = {}) => new Fault(code, "Why.", { details });
const CODES = Object.keys(FAULTS) as FaultCode[];
const PASSING = /plugin runtime not found|no available node/;

describe("a call that never reached the plugin", () => {
  test.each([
    ["installing", 404, "no available node, plugin runtime not found: Why."],
    ["building", 404, "no available node, plugin runtime not found: Why."],
    ["backoff", 404, "no available node, plugin runtime not found: Why."],
    ["crash_loop", 404, "the plugin is not running and will not start by itself: Why."],
    ["failed", 404, "the plugin is not running and will not start by itself: Why."],
    ["removing", 404, "plugin not found"],
  ])("is reported by the state of its plugin: %s", (state, status, message) => {
    expect(refusedCall(fault("plugin_not_ready", { state }))).toMatchObject({ status, message });
  });

  test("is reported as temporary only if the same request may succeed later", () => {
    for (const code of CODES) {
      const told = refusedCall(fault(code));
      if (!FAULTS[code].passing)
        expect({ code, passing: PASSING.test(told.message) }).toEqual({ code, passing: false });
    }
  });

  test("is reported as a failed write if it was larger than a frame", () => {
    expect(refusedCall(fault("frame_too_large"))).toEqual({
      type: "PluginDaemonInternalServerError",
      message: "Why.\nfailed to write request",
      status: undefined,
    });
  });

  test("is reported with its version if the tenant does not have that version", () => {
    expect(refusedVersion(fault("installation_not_found"), "a/b:1.0.0@c")).toMatchObject({
      status: 404,
      message: "no available node, plugin runtime not found: the tenant does not have a/b:1.0.0@c.",
    });
  });

  test.each(["idle", "start"])("is reported as killed by timeout if the %s clock ran out", (clock) => {
    expect(refusedCall(fault("plugin_timeout", { clock })).message).toBe("killed by timeout: Why.");
  });
});

describe("a call that broke", () => {
  test("is always reported as an event of a stream that began with 200", () => {
    for (const code of CODES) expect(brokenCall(fault(code)).status).toBeUndefined();
  });

  test("has a JSON object with class and message inside every PluginInvokeError", () => {
    for (const code of CODES) {
      const { type, message } = brokenCall(fault(code, { error_type: "E" }));
      if (type !== "PluginInvokeError") continue;
      expect(JSON.parse(message)).toMatchObject({ error_type: expect.any(String), message: "Why." });
    }
  });
});

import { expect, test } from "vitest";
import { pluginFault } from "./plugin-fault.ts";

const args = {};

test("a call that fails for a file that cannot be written says where writing works, and keeps the plugin's own message", () => {
  const message = "[Errno 30] Read-only file system: '/plugin/cache.json'";
  const fault = pluginFault({ errorType: "OSError", message, args });
  expect(fault.message).toBe(
    `${message} (It tried to write /plugin/cache.json; a plugin can write in /tmp only, and beside its code if ` +
      "BERTH_WRITABLE_PLUGINS names it.)",
  );
  expect(fault.details).toEqual({ error_type: "OSError", message, args });
});

test("another failure is passed on as it is", () => {
  expect(pluginFault({ errorType: "KeyError", message: "'a'", args }).message).toBe("'a'");
});

import { expect, test } from "vitest";
import { pluginFault } from "./plugin-fault.ts";

const args = {};

test("a call that fails for a file that cannot be written says where writing works, and keeps the plugin's own message", () => {
  const message = "[Errno 30] Read-only file system: '/plugin/cache.json'";
  const fault = pluginFault({ errorType: "OSError", message, args }, "acme/reader");
  expect(fault.message).toBe(
    `${message} (It tried to write /plugin/cache.json; a plugin can write in /tmp only, and beside its code if ` +
      "BERTH_WRITABLE_PLUGINS names it.)",
  );
  expect(fault.details).toEqual({ error_type: "OSError", message, args });
});

test("a call that fails for a missing program says which variant has it, and keeps the plugin's own words as data", () => {
  const message = "[Errno 2] No such file or directory: 'ffmpeg'";
  const fault = pluginFault({ errorType: "FileNotFoundError", message, args }, "acme/sound");
  expect(fault.message).toContain(`${message} (It needs the program ffmpeg, which the variant python-full`);
  expect(fault.message).toContain("BERTH_PLUGIN_IMAGES=acme/sound=python-full");
  expect(fault.details).toEqual({ error_type: "FileNotFoundError", message, args });
});

test("another failure is passed on as it is", () => {
  expect(pluginFault({ errorType: "KeyError", message: "'a'", args }, "acme/sound").message).toBe("'a'");
});

import { expect, test } from "vitest";
import { pluginFault } from "./plugin-fault.ts";

test("a call that fails for a missing program says which variant has it, and keeps the plugin's own words as data", () => {
  const message = "[Errno 2] No such file or directory: 'ffmpeg'";
  const fault = pluginFault({ errorType: "FileNotFoundError", message, args: {} }, "acme/sound");
  expect(fault.message).toContain(`${message} (It needs the program ffmpeg, which the variant python-full`);
  expect(fault.message).toContain("BERTH_PLUGIN_IMAGES=acme/sound=python-full");
  expect(fault.details).toEqual({ error_type: "FileNotFoundError", message, args: {} });
});

test("any other failure is passed on word by word", () => {
  expect(pluginFault({ errorType: "ValueError", message: "no", args: {} }, "acme/sound").message).toBe("no");
});

import { expect, test } from "vitest";
import { readConfig } from "../config.ts";
import { profileSettings } from "./settings.ts";

test("plugins have the operator's time zone, else that of this machine", () => {
  const zoneWith = (env: Readonly<Record<string, string>>) =>
    profileSettings(readConfig(env), undefined).timeZone;
  expect(zoneWith({ BERTH_PLUGIN_TIME_ZONE: "Asia/Tokyo" })).toBe("Asia/Tokyo");
  expect(zoneWith({})).toBe(Intl.DateTimeFormat().resolvedOptions().timeZone);
  expect(() => zoneWith({ BERTH_PLUGIN_TIME_ZONE: "Mars/Base" })).toThrow(
    /BERTH_PLUGIN_TIME_ZONE is "Mars\/Base"; accepted: a name of the time zone database/,
  );
});

import { expect, it } from "vitest";
import { readConfig } from "../config.ts";
import { launchSettings, profileSettings } from "./settings.ts";

const MIB = 1 << 20;

it("the memory budget comes from the machine unless it is set, and 0 means no budget", () => {
  const budget = (env: Record<string, string>, memoryMb: number) => {
    const { hostMemoryBytes } = launchSettings(readConfig(env), { memoryBytes: memoryMb * MIB });
    return hostMemoryBytes === undefined ? undefined : hostMemoryBytes / MIB;
  };
  expect(budget({}, 16_384)).toBe(15_360);
  expect(budget({}, 2048)).toBe(1536);
  expect(budget({ BERTH_HOST_MEMORY_MB: "300" }, 16_384)).toBe(300);
  expect(budget({ BERTH_HOST_MEMORY_MB: "0" }, 16_384)).toBeUndefined();
  expect(() => readConfig({ BERTH_HOST_MEMORY_MB: "-1" })).toThrow(/BERTH_HOST_MEMORY_MB is "-1"; accepted/);
});

it("plugins have the operator's time zone, else that of this machine", () => {
  const zoneWith = (env: Record<string, string>) => profileSettings(readConfig(env), undefined).timeZone;
  expect(zoneWith({ BERTH_PLUGIN_TIME_ZONE: "Asia/Tokyo" })).toBe("Asia/Tokyo");
  expect(zoneWith({})).toBe(Intl.DateTimeFormat().resolvedOptions().timeZone);
  expect(() => zoneWith({ BERTH_PLUGIN_TIME_ZONE: "Mars/Base" })).toThrow(
    /BERTH_PLUGIN_TIME_ZONE is "Mars\/Base"; accepted: a name of the time zone database/,
  );
});

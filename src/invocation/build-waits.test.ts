import { describe, expect, test } from "vitest";
import { InstallationId } from "../domain/ids.ts";
import { systemClock } from "../util/clock.ts";
import { BuildWaits } from "./build-waits.ts";
import type { InstalledPlugin } from "./installation-directory.ts";

const ID = InstallationId.parse("00000000-0000-4000-8000-000000000001");
const NAME = { tenantId: "00000000-0000-4000-8000-000000000002", pluginId: "acme/a" } as never;
const NEVER = new AbortController().signal;

function plugin(state: string): InstalledPlugin {
  return { installation: { id: ID, pluginId: "acme/a", state } } as never;
}

/** A directory with one plugin whose state a test sets. */
function directory(place: { place: number; of: number } | undefined) {
  const listeners = new Set<() => void>();
  const asked: string[] = [];
  const now: { found: InstalledPlugin | undefined } = { found: plugin("installing") };
  const waits = new BuildWaits({
    waitersMax: 2,
    clock: systemClock,
    buildPriority: {
      raise: async (id) => {
        asked.push(id);
        return place;
      },
    },
    installations: {
      find: () => now.found,
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  });
  const wait = (timeoutMs: number, signal = NEVER) =>
    waits.wait(plugin("installing"), NAME, { timeoutMs, signal });
  const become = (found: InstalledPlugin | undefined) => {
    now.found = found;
    for (const listener of [...listeners]) listener();
  };
  /** Resolves when so many calls wait. */
  const waiting = async (count: number) => {
    while (listeners.size < count) await new Promise((resolve) => setImmediate(resolve));
  };
  return { wait, become, waiting, asked, listeners };
}

const BUILDING = { code: "plugin_not_ready", details: { state: "building", place: 3, of: 12 } };

describe("a call to a plugin that is not built yet", () => {
  test("moves the plugin to the front of the queue, and continues as soon as it is ready", async () => {
    const { wait, become, waiting, asked, listeners } = directory({ place: 3, of: 12 });
    const call = wait(60_000);
    await waiting(1);
    expect(asked).toEqual([ID]);
    become(plugin("installing"));
    expect(listeners.size).toBe(1);
    become(plugin("ready"));
    expect((await call)?.installation.state).toBe("ready");
    expect(listeners.size).toBe(0);
  });

  test("continues if the plugin failed or was removed", async () => {
    for (const found of [plugin("failed"), undefined]) {
      const { wait, become, waiting } = directory({ place: 1, of: 1 });
      const call = wait(60_000);
      await waiting(1);
      become(found);
      expect(await call).toBe(found);
    }
  });

  test("reports the place in the queue when its time is over", async () => {
    const { wait, listeners } = directory({ place: 3, of: 12 });
    await expect(wait(1)).rejects.toMatchObject({
      ...BUILDING,
      message: "acme/a is being built: place 3 of 12 in the queue.",
    });
    expect(listeners.size).toBe(0);
  });

  test("reports the place at once if too many calls wait, and waits again when those have left", async () => {
    const { wait, waiting } = directory({ place: 3, of: 12 });
    const leaving = new AbortController();
    const calls = [wait(60_000, leaving.signal), wait(60_000, leaving.signal)];
    await waiting(2);
    await expect(wait(60_000)).rejects.toMatchObject(BUILDING);
    leaving.abort(new Error("left"));
    for (const call of calls) await expect(call).rejects.toThrow("left");
    await expect(wait(1)).rejects.toMatchObject(BUILDING);
  });

  test("does not wait for an ordinary install", async () => {
    const { wait } = directory(undefined);
    expect((await wait(60_000))?.installation.state).toBe("installing");
  });
});

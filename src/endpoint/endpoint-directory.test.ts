import { expect, onTestFinished, test } from "vitest";
import { partialRows } from "../../test/harness/doubles/partial-rows.ts";
import { EndpointId } from "../domain/endpoint.ts";
import { Fault } from "../domain/fault.ts";
import { TenantId } from "../domain/ids.ts";
import type { JsonMap } from "../domain/json.ts";
import type { InstalledPlugin } from "../invocation/installation-directory.ts";
import { silentLog } from "../observe/log.ts";
import type { EndpointRecord, EndpointRows } from "../store/contracts/endpoints.ts";
import type { Clock } from "../util/clock.ts";
import { type EndpointDirectorySettings, openEndpointDirectory } from "./endpoint-directory.ts";

const POLL_MS = 2000;
const never = new AbortController().signal;

function aRecord(hookId: string, changes: Partial<EndpointRecord> = {}): EndpointRecord {
  return {
    id: EndpointId.parse("01890000-0000-7000-8000-000000000001"),
    tenantId: TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001"),
    hookId,
    pluginId: "acme/hooks",
    userId: "",
    name: "n",
    enabled: true,
    settings: { key: "sealed" },
    revision: "1",
    createdAt: new Date(0),
    updatedAt: new Date(0),
    ...changes,
  };
}

/** What the directory takes of it. */
const installed = {
  catalog: { identifier: "acme/hooks:1.0.0@ab", endpoint: { fields: [], settings: [], endpoints: [] } },
} as unknown as InstalledPlugin;

async function aDirectory(settings: Partial<EndpointDirectorySettings> = {}) {
  const rows = new Map([["hook1", aRecord("hook1")]]);
  const seen = { reads: [] as string[], opened: 0, told: [] as string[] };
  const fake: {
    read: (hookId: string) => Promise<EndpointRecord | undefined>;
    open: (settings: JsonMap, signal: AbortSignal) => Promise<JsonMap>;
    installed: InstalledPlugin | undefined;
    hear: (hookId: string) => void;
    now: number;
    wake: () => void;
  } = {
    read: async (hookId) => rows.get(hookId),
    open: async () => ({ key: "open" }),
    installed,
    hear: () => undefined,
    now: 0,
    wake: () => undefined,
  };
  const clock: Clock = {
    now: () => fake.now,
    elapsed: () => fake.now,
    sleep: () => new Promise((resolve) => (fake.wake = resolve)),
  };
  const findByHook = (hookId: string) => {
    seen.reads.push(hookId);
    return fake.read(hookId);
  };
  const directory = await openEndpointDirectory({
    store: { endpoints: partialRows<EndpointRows>("endpoints", { findByHook }) },
    installations: { find: () => fake.installed },
    secrets: {
      open: (_owner, stored, signal) => {
        seen.opened += 1;
        return fake.open(stored, signal);
      },
    },
    pubSub: {
      publish: async (topic, message) => void seen.told.push(`${topic} ${message}`),
      subscribe: async (_topic, listener) => {
        fake.hear = listener;
        return { [Symbol.asyncDispose]: async () => undefined };
      },
    },
    clock,
    log: silentLog,
    settings: { endpointPollMs: POLL_MS, endpointsMax: 3, lookupsMax: 2, rereadTimeoutMs: 1000, ...settings },
  });
  onTestFinished(() => directory[Symbol.asyncDispose]());
  const enabled = async (hookId = "hook1") => (await directory.find(hookId))?.endpoint.enabled;
  return { directory, rows, seen, fake, enabled };
}

test("a row is read once within a poll period, and again after it", async () => {
  const { rows, seen, fake, enabled } = await aDirectory();
  expect(await Promise.all([enabled(), enabled()])).toEqual([true, true]);
  rows.set("hook1", aRecord("hook1", { enabled: false }));
  fake.now = POLL_MS - 1;
  expect(await enabled()).toBe(true);
  expect(seen.reads).toHaveLength(1);
  fake.now = POLL_MS;
  expect(await enabled()).toBe(false);
  expect(seen.reads).toHaveLength(2);
});

test("a change made here takes effect at once and is published; a published change takes effect at once too", async () => {
  const { directory, rows, seen, fake, enabled } = await aDirectory();
  expect(await enabled()).toBe(true);
  rows.set("hook1", aRecord("hook1", { enabled: false }));
  directory.changed("hook1");
  expect(await enabled()).toBe(false);
  expect(seen.told).toEqual(["endpoints hook1"]);
  rows.delete("hook1");
  fake.hear("hook1");
  expect(await enabled()).toBeUndefined();
});

test("a read that began before a change is not cached after it", async () => {
  const { directory, rows, fake, enabled } = await aDirectory();
  const old = Promise.withResolvers<EndpointRecord | undefined>();
  fake.read = () => old.promise;
  const before = enabled();
  await new Promise((resolve) => setImmediate(resolve));
  directory.changed("hook1");
  fake.read = async (hookId) => rows.get(hookId);
  rows.set("hook1", aRecord("hook1", { enabled: false }));
  expect(await enabled()).toBe(false);
  old.resolve(aRecord("hook1"));
  expect(await before).toBe(true);
  expect(await enabled()).toBe(false);
});

test("while the database is unavailable or hangs, cached endpoints are served and unknown ones are refused", async () => {
  const { fake, enabled } = await aDirectory();
  expect(await enabled()).toBe(true);
  fake.read = () => Promise.reject(new Fault("store_unavailable", "away"));
  fake.now = POLL_MS;
  expect(await enabled()).toBe(true);
  await expect(enabled("hook2")).rejects.toMatchObject({ code: "store_unavailable" });
  fake.read = () => new Promise(() => undefined);
  fake.now = 2 * POLL_MS;
  const hanging = enabled();
  await new Promise((resolve) => setImmediate(resolve));
  fake.wake();
  expect(await hanging).toBe(true);
});

test("an unknown hook id is not cached, and guesses use a bounded number of connections", async () => {
  const { rows, fake, enabled } = await aDirectory();
  expect(await enabled("hook2")).toBeUndefined();
  rows.set("hook2", aRecord("hook2"));
  expect(await enabled("hook2")).toBe(true);
  let open = 0;
  let most = 0;
  const { promise: go, resolve } = Promise.withResolvers<void>();
  fake.read = async () => {
    most = Math.max(most, ++open);
    await go;
    open -= 1;
    return undefined;
  };
  const guesses = Array.from({ length: 20 }, (_, place) => enabled(`guess${place}`));
  await new Promise((done) => setImmediate(done));
  resolve();
  await Promise.all(guesses);
  expect(most).toBe(2);
});

test("the cache is bounded and evicts the least recently used row", async () => {
  const { rows, seen, enabled } = await aDirectory();
  for (const hookId of ["hook2", "hook3", "hook4"]) rows.set(hookId, aRecord(hookId));
  for (const hookId of ["hook1", "hook2", "hook3", "hook1", "hook4", "hook1"]) await enabled(hookId);
  expect(seen.reads).toEqual(["hook1", "hook2", "hook3", "hook4"]);
  await enabled("hook2");
  expect(seen.reads.at(-1)).toBe("hook2");
});

test("concurrent requests share a decryption, and later ones decrypt again: nothing decrypted is cached", async () => {
  const { directory, seen, fake } = await aDirectory();
  const { promise, resolve } = Promise.withResolvers<JsonMap>();
  fake.open = () => promise;
  const found = await directory.find("hook1");
  const all = [found?.openSettings(never), found?.openSettings(never)];
  resolve({ key: "open" });
  expect(await Promise.all(all)).toEqual([{ key: "open" }, { key: "open" }]);
  expect(seen.opened).toBe(1);
  await found?.openSettings(never);
  expect(seen.opened).toBe(2);
});

test("a caller that leaves affects no other caller, and a failure reaches only the callers that wait", async () => {
  const { directory, seen, fake } = await aDirectory();
  const { promise, reject } = Promise.withResolvers<JsonMap>();
  fake.open = () => promise;
  const found = await directory.find("hook1");
  const left = new AbortController();
  const gone = found?.openSettings(left.signal);
  const stays = found?.openSettings(never);
  left.abort(new Error("left"));
  await expect(gone).rejects.toThrow("left");
  reject(new Fault("platform_unavailable", "away"));
  await expect(stays).rejects.toMatchObject({ code: "platform_unavailable" });
  fake.open = async () => ({ key: "open" });
  expect(await found?.openSettings(never)).toEqual({ key: "open" });
  expect(seen.opened).toBe(2);
});

test("an endpoint whose plugin is not installed is found, and its settings are not decrypted", async () => {
  const { directory, seen, fake } = await aDirectory();
  fake.installed = undefined;
  const found = await directory.find("hook1");
  expect(found?.installed).toBeUndefined();
  await expect(found?.openSettings(never)).rejects.toMatchObject({ code: "installation_not_found" });
  expect(seen.opened).toBe(0);
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { aContainerSpec, within } from "../../test/harness/rigs/test-engine.ts";
import { OPEN_EGRESS } from "../../test/harness/samples/egress-settings.ts";
import { MemoryEngine } from "../../test/support/engine-memory/memory-engine.ts";
import type { ContainerSpec } from "../domain/container.ts";
import type { EgressPolicy } from "../domain/egress.ts";
import { Fault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";
import { formatLabels } from "../engine/labels.ts";
import { silentLog } from "../observe/log.ts";
import { systemClock } from "../util/clock.ts";
import { type PluginNetwork, startPluginNetwork } from "./plugin-network.ts";
import type { EgressSettings } from "./settings.ts";

const ID = "abcd1234";
/** For a loaded machine. */
const LONG = { timeout: 60_000 };
const GUARD = `berth-${ID}-egress`;

let dataFolder: string;
let lines: object[];
let engine: MemoryEngine;
/** What a guard says when it is started. */
let word: string;
let chosen: Map<string, EgressPolicy>;

beforeAll(async () => {
  dataFolder = await mkdtemp(join(tmpdir(), "berth-egress-"));
});
afterAll(() => rm(dataFolder, { recursive: true }));
beforeEach(() => {
  lines = [];
  chosen = new Map();
  word = '{"op":"ready"}';
  engine = new MemoryEngine({
    now: () => Date.now(),
    onStart: (id, spec) => {
      if (spec.name === GUARD) engine.writeLog(id, { stream: "stdout", at: new Date(), text: word });
      if (word.includes("failed")) engine.crash(id, { exitCode: 1 });
    },
  });
  engine.addImage("berth-python:1", { "berth.kind": "runtime-image", "berth.runtime": "python" });
});

function start(
  { lookMs = 60_000, ...changes }: Partial<EgressSettings> & { lookMs?: number } = {},
  on: Engine = engine,
): Promise<PluginNetwork> {
  const write = (fields: object) => void lines.push(fields);
  return startPluginNetwork({
    engine: on,
    clock: systemClock,
    log: { ...silentLog, info: write, warn: write, error: write },
    store: { pools: { list: async () => [] }, egress: { list: async () => chosen } },
    holder: "a-worker",
    instanceId: ID,
    dataFolder,
    programFolder: join(import.meta.dirname, "../../runtime-images/python/egress"),
    settings: { ...OPEN_EGRESS, ...changes },
    everyMs: lookMs,
    pollMs: 20,
  });
}

/** The first to ask for the operation is served when a second one has asked. */
function overtaken(target: MemoryEngine, operation: keyof Engine): Engine {
  const second = Promise.withResolvers<void>();
  let asked = 0;
  return new Proxy(target, {
    get(engine, name) {
      const value: unknown = Reflect.get(engine, name, engine);
      if (typeof value !== "function") return value;
      if (name !== operation) return value.bind(engine);
      return async (...args: unknown[]) => {
        asked += 1;
        if (asked === 1) await second.promise;
        else second.resolve();
        return value.apply(engine, args);
      };
    },
  });
}

const onBridge = (name: string, kind: "runtime" | "build" = "runtime"): ContainerSpec =>
  aContainerSpec({
    name,
    image: "berth-python:1",
    network: `berth-${ID}`,
    labels: formatLabels({ instance: ID, kind }),
  });

describe("the network of plugins", () => {
  it("is guarded before any container joins it; the guard has the host's network and one capability", async () => {
    await using network = await start({ hosts: { inside: "10.0.0.5", "host.docker.internal": "gateway" } });
    expect(network.profile).toMatchObject({
      network: "bridge",
      subnet: undefined,
      hosts: { inside: "10.0.0.5", "host.docker.internal": "198.51.100.1" },
      listDns: undefined,
    });
    expect(engine.specOf(GUARD)).toMatchObject({
      network: "host",
      capabilities: ["NET_ADMIN"],
      readOnlyRoot: true,
      mounts: [{ readOnly: true }],
    });
  });

  it("is none for plugins if the rules cannot be set, and the start logs why; builds use the engine's own network", async () => {
    word = '{"op":"failed","why":"Operation not permitted"}';
    await using network = await start();
    expect(network.profile.network).toBe("none");
    expect(lines).toContainEqual({ op: "egress.start", ok: false, why: "Operation not permitted" });
    await expect(network.engine.createContainer(onBridge("p"), within())).rejects.toMatchObject({
      code: "egress_unguarded",
    });
    await network.engine.createContainer(onBridge("b", "build"), within());
    expect(engine.specOf("b").network).toBe("bridge");
  });

  it("is none if the engine gives no container the host's network", async () => {
    engine.failNext(
      "start",
      new Fault("engine_refused", "The Engine answered 400: host mode is not allowed"),
    );
    await using network = await start();
    expect(network.profile.network).toBe("none");
  });

  it("is none until there is a runtime image (a plugin's image does not count), and then the bridge", async () => {
    const image = { "berth.kind": "runtime-image", "berth.runtime": "python" };
    engine = new MemoryEngine({
      now: () => Date.now(),
      onStart: (id) => engine.writeLog(id, { stream: "stdout", at: new Date(), text: word }),
    });
    engine.addImage("berth-plugin:1", formatLabels({ instance: ID, kind: "image" }));
    await using network = await start({ lookMs: 20 });
    expect(network.profile.network).toBe("none");
    expect(lines).toContainEqual({
      op: "egress.start",
      ok: false,
      why: expect.stringMatching(/no runtime image/),
    });
    expect(await engine.findContainer(GUARD, within())).toBeUndefined();
    engine.addImage("berth-python:1", image);
    await vi.waitFor(
      () => expect(network.profile.networkOf("p1")).toMatchObject({ network: "bridge" }),
      LONG,
    );
  });

  it("starts a removed guard again before the next container is created", async () => {
    await using network = await start();
    await engine.removeContainer(GUARD, within());
    await network.engine.createContainer(onBridge("next"), within());
    expect(await engine.findContainer(GUARD, within())).toMatchObject({ phase: "running" });
  });

  it.each(["findContainer", "createContainer", "startContainer"] as const)(
    "can be started by two workers at once, even if one of them is late to %s",
    async (operation) => {
      const late = overtaken(engine, operation);
      const networks = await Promise.all([start({}, late), start({}, late)]);
      for (const { profile } of networks) expect(profile.network).toBe("bridge");
      expect(await engine.findContainer(GUARD, within())).toMatchObject({ phase: "running" });
      for (const network of networks) await network[Symbol.asyncDispose]();
    },
  );

  it("is set up again if another worker removed its guard", async () => {
    let starts = 0;
    engine = new MemoryEngine({
      now: () => Date.now(),
      onStart: (id) => {
        starts += 1;
        if (starts === 1) engine.crash(id, { exitCode: 137 });
        else engine.writeLog(id, { stream: "stdout", at: new Date(), text: word });
      },
    });
    engine.addImage("berth-python:1", { "berth.kind": "runtime-image", "berth.runtime": "python" });
    await using network = await start();
    expect(network.profile.network).toBe("bridge");
    expect(starts).toBe(2);
  });

  it("keeps a guard that runs as desired, and replaces any other", async () => {
    const ids: (string | undefined)[] = [];
    for (const allow of [[], [], ["10.0.0.1:80"]]) {
      await using _network = await start({ allow });
      ids.push((await engine.findContainer(GUARD, within()))?.id);
    }
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it("is removed with its guard", async () => {
    await using network = await start({ mode: "list" });
    expect(network.profile).toMatchObject({ network: "list", listDns: "198.51.100.1" });
    engine.crash(GUARD, { exitCode: 0 });
    await network.remove(within());
    expect(await engine.findContainer(GUARD, within())).toBeUndefined();
    expect(await engine.listNetworks({}, within())).toEqual([]);
  });

  it("follows the policy of a pool: first the bridge with a list and its guard, then none", async () => {
    await using network = await start({ hosts: { here: "gateway" } });
    const { networkOf } = network.profile;
    expect(networkOf("p1")).toMatchObject({ network: "bridge" });
    chosen = new Map([["p1", { mode: "list", allow: ["a.example:443"] }]]);
    await vi.waitFor(
      () => expect(networkOf("p1")).toMatchObject({ network: "list", listDns: "198.51.100.1" }),
      LONG,
    );
    expect(networkOf("p2")).toMatchObject({ network: "bridge", listDns: undefined });
    expect(await engine.listNetworks({}, within())).toContain(`berth-${ID}-list`);
    chosen = new Map([["p1", { mode: "none", allow: [] }]]);
    await vi.waitFor(() => expect(networkOf("p1")).toMatchObject({ network: "none", hosts: {} }), LONG);
  });

  it.each(["engine_refused", "not_found"] as const)(
    "names the setting when the engine has no addresses left and answers %s",
    async (code) => {
      const refused = "The Engine said: could not find an available, non-overlapping IPv4 address pool";
      engine.ensureNetwork = async () => {
        throw new Fault(code, refused);
      };
      await expect(start()).rejects.toMatchObject({
        code: "config_invalid",
        message: expect.stringContaining("BERTH_EGRESS_SUBNET"),
      });
    },
  );
});

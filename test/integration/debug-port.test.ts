/** Plugins that their authors run, connected as the public SDK connects them, and peers that are none. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect as connectTls, createSecureContext } from "node:tls";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startDebugSweep } from "../../src/debug/debug-sweep.ts";
import { TenantId } from "../../src/domain/ids.ts";
import { silentLog } from "../../src/observe/log.ts";
import { systemClock } from "../../src/util/clock.ts";
import { aTenant, eventually } from "../harness/clients/client.ts";
import { connectPeer, DEBUGGED, DebugPeer, dialPeer, registration } from "../harness/clients/debug-peer.ts";
import { type DebugPortRig, openDebugPort } from "../harness/rigs/debug-port.ts";
import { DATABASES, type TestDatabase } from "../harness/rigs/stores.ts";
import { length } from "../harness/samples/lengths.ts";
import { makeAuthority } from "../harness/servers/authority.ts";

let database: TestDatabase;
let rig: DebugPortRig;
beforeAll(async () => {
  const [, postgres] = DATABASES;
  database = await postgres.create();
  rig = await openDebugPort(database);
});
afterAll(async () => {
  await rig?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
});

const newTenant = () => TenantId.parse(aTenant());
const connected = (tenantId: TenantId, from = rig) =>
  eventually(async () => await from.installation(tenantId));
const gone = (tenantId: TenantId, from = rig) =>
  eventually(async () => ((await from.installation(tenantId)) === undefined ? true : undefined));

/** A connected plugin of a tenant of its own. */
async function aPlugin(from = rig, options: Partial<Parameters<typeof connectPeer>[0]> = {}) {
  const tenantId = newTenant();
  const peer = await connectPeer({ port: from.port, key: await from.key(tenantId), ...options });
  return { tenantId, peer, installation: await connected(tenantId, from) };
}

test("a plugin that its author runs is installed, called, logged, and leaves nothing behind", async () => {
  const before = await rig.files();
  const { tenantId, peer, installation } = await aPlugin();
  expect(installation).toMatchObject({ pluginId: DEBUGGED, source: "remote", state: "ready", meta: {} });
  expect(installation.identifier).toMatch(/^berth-tests\/debugged:0\.0\.1@[0-9a-f]{64}$/);
  const pkg = await rig.store.packages.find(installation.identifier);
  expect(pkg?.providers).toEqual([
    { kind: "tool", name: "debugged" },
    { kind: "endpoint", name: "debugged" },
  ]);
  expect(pkg?.warnings).toEqual([]);
  expect(await rig.store.platform.findInstallation(tenantId, DEBUGGED)).toMatchObject({
    runtimeType: "remote",
    source: "remote",
    meta: {},
  });
  expect(await rig.call(tenantId, { text: "hello" })).toEqual(["hello"]);
  peer.write('{"event": "log", "data": {"level": "INFO", "message": "well"}}\n');
  const lines = await eventually(async () => {
    const all = await rig.log(installation);
    return all.includes("INFO well") ? all : undefined;
  });
  expect(lines[0]).toMatch(/^\[berth\] connected from 127\.0\.0\.1:/);
  await peer[Symbol.asyncDispose]();
  await gone(tenantId);
  await expect(rig.call(tenantId, { text: "hello" })).rejects.toMatchObject({
    code: "installation_not_found",
  });
  expect(await rig.store.packages.find(installation.identifier)).toBeUndefined();
  await expect.poll(() => rig.files()).toEqual(before);
});

test("the same declarations have the same identifier at each connection, and another in another tenant", async () => {
  const first = await aPlugin();
  await first.peer[Symbol.asyncDispose]();
  await gone(first.tenantId);
  await using _again = await connectPeer({ port: rig.port, key: await rig.key(first.tenantId) });
  expect((await connected(first.tenantId)).identifier).toBe(first.installation.identifier);
  const other = await aPlugin();
  await using _other = other.peer;
  expect(other.installation.identifier).not.toBe(first.installation.identifier);
});

test("a request reaches the plugin in the daemon's form, without what only Berth's own runner reads", async () => {
  const lines: object[] = [];
  const { tenantId, peer } = await aPlugin(rig, {
    script: (line, say) => {
      lines.push(line);
      say("end", {});
    },
  });
  await using _ = peer;
  await rig.call(tenantId, { text: "" });
  expect(lines.map((line) => Object.keys(line))).toEqual([
    ["session_id", "conversation_id", "message_id", "app_id", "endpoint_id", "context", "event", "data"],
  ]);
});

test("a plugin calls back, and only in sessions that are open", async () => {
  const { tenantId, peer } = await aPlugin(rig, {
    script: ({ event, data, session_id: session }, say, from) => {
      if (event === "request") {
        const request = { opt: "set", key: "note", value: "6869" };
        from.say("00000000-0000-4000-8000-000000000000", "invoke", { type: "storage", request });
        say("invoke", { type: "storage", backwards_request_id: "a", request });
      } else if (data["event"] === "response") {
        from.say(session, "stream", { type: "text", message: { text: JSON.stringify(data["data"]) } });
        say("end", {});
      }
    },
  });
  await using _ = peer;
  expect(await rig.call(tenantId, { text: "" })).toEqual(['{"data":"ok"}']);
  await eventually(async () => {
    const { items } = await rig.store.events.list({ tenantId, kind: "runtime.foreign_call" }, { limit: 1 });
    return items[0];
  });
});

test("every process with the data folder calls it", async () => {
  await using other = await openDebugPort(database);
  const { tenantId, peer } = await aPlugin();
  await using _ = peer;
  expect(await other.call(tenantId, { text: "over there" })).toEqual(["over there"]);
  expect(await rig.call(tenantId, { text: "here" })).toEqual(["here"]);
});

test("a plugin that is killed and started again answers the next call within 2 s", async () => {
  const tenantId = newTenant();
  const key = await rig.key(tenantId);
  const times: number[] = [];
  for (let n = 0; n < length({ short: 4, soak: 50 }); n += 1) {
    const startedAt = performance.now();
    const peer = await connectPeer({ port: rig.port, key });
    const answered = eventually(() => rig.call(tenantId, { text: `${n}` }).catch(() => undefined));
    expect(await answered).toEqual([`${n}`]);
    times.push(performance.now() - startedAt);
    peer.socket.resetAndDestroy();
    await gone(tenantId);
  }
  expect(Math.max(...times)).toBeLessThan(2_000);
});

test("a newer connection of a plugin takes the place of the older one, whose calls end", async () => {
  const tenantId = newTenant();
  const key = await rig.key(tenantId);
  let received = 0;
  const script = () => void received++;
  await using old = await connectPeer({ port: rig.port, key, script });
  const { id } = await connected(tenantId);
  const waiting = rig.call(tenantId, { text: "never answered" }).catch((error: unknown) => error);
  await expect.poll(() => received).toBe(1);
  await using _newer = await connectPeer({ port: rig.port, key });
  expect(await old.ended).toBe("berth: a newer connection of this plugin has taken its place");
  expect(await waiting).toMatchObject({ code: "link_lost" });
  expect((await connected(tenantId)).id).not.toBe(id);
  expect(await rig.call(tenantId, { text: "new" })).toEqual(["new"]);
});

test("a plugin that the tenant has installed from a package is refused, and stays installed", async () => {
  const { tenantId, peer, installation } = await aPlugin();
  const pkg = await rig.store.packages.find(installation.identifier);
  if (pkg === undefined) throw new Error("it has no package");
  const key = await rig.key(tenantId);
  await peer[Symbol.asyncDispose]();
  await gone(tenantId);
  await rig.store.packages.put(pkg, { tenantId });
  const { limitsAsked, limitsGranted } = installation;
  await rig.store.installations.acceptInstall({
    ...{ tenantId, pluginId: DEBUGGED, identifier: pkg.identifier, limitsAsked, limitsGranted },
    ...{ source: "package", meta: {}, warnings: [] },
  });
  await using second = await connectPeer({ port: rig.port, key });
  expect(await second.ended).toContain(`berth: The tenant has ${DEBUGGED} installed from a package`);
  expect((await rig.installation(tenantId))?.source).toBe("package");
});

test("a plugin takes the place of the rows that a killed daemon has left of its connection", async () => {
  const { tenantId, peer, installation } = await aPlugin();
  const client = new Client({ connectionString: database.databaseUrl });
  await client.connect();
  await client.query("DELETE FROM berth_installations WHERE id = $1", [installation.id]);
  await client.query("DELETE FROM berth_debug_connections WHERE installation_id = $1", [installation.id]);
  await client.end();
  await peer[Symbol.asyncDispose]();
  await using _again = await connectPeer({ port: rig.port, key: await rig.key(tenantId) });
  const { id } = await connected(tenantId);
  expect((await rig.store.platform.findInstallation(tenantId, DEBUGGED))?.id).toBe(id);
});

test("what only a plugin in a container can be asked for is refused, and an uninstall ends the connection", async () => {
  const { peer, installation } = await aPlugin();
  const { id, identifier } = installation;
  for (const kind of ["restart", "disable", "limits", "upgrade"] as const)
    await expect(rig.store.installations.acceptChange({ id, kind, identifier })).rejects.toMatchObject({
      code: "conflict",
    });
  await rig.store.installations.acceptUninstall(id);
  await rig.announce(id);
  expect(await peer.ended).toBe("berth: the plugin was uninstalled");
  await expect.poll(() => rig.store.runtimes.listLive(installation.poolKey)).toEqual([]);
  // its task removes it
  expect((await rig.store.installations.find(id))?.state).toBe("removing");
});

test("the rows of a process that died are removed by whoever notices", async () => {
  const { tenantId, peer, installation } = await aPlugin();
  await using _ = peer;
  const [runtime] = await rig.store.runtimes.listLive(installation.poolKey);
  await rig.store.processes.leave(rig.processId);
  await using _sweep = startDebugSweep({
    store: rig.store,
    installations: rig.installations,
    clock: systemClock,
    log: silentLog,
    everyMs: 50,
  });
  await gone(tenantId);
  if (runtime === undefined) throw new Error("it has no runtime");
  expect((await rig.store.runtimes.find(runtime.id))?.end).toEqual({ reason: "disconnected" });
  await rig.announce(installation.id);
  expect(await peer.ended).toContain("berth: its installation is gone");
  await rig.store.processes.announce({ id: rig.processId, role: "serve", host: "here", pid: 1 }, 600_000);
});

test.each<[string, string | Buffer, string]>([
  ["a wrong key", '{"type":"handshake","data":{"key":"wrong"}}\n', "the key is unknown or has expired"],
  [
    "an HTTP request",
    "GET / HTTP/1.1\r\n\r\n",
    "the first line is an HTTP request: this is the port for plugins",
  ],
  ["another first line", '{"type":"manifest_declaration","data":{}}\n', "the first line is"],
  ["bytes that are no text", Buffer.from([0xff, 0xfe, 10]), "the first line is"],
  ["a first line without end", "x".repeat(5_000), "a line has more than 4096 bytes"],
  ["TLS", Buffer.from([0x16, 3, 1, 0, 5, 1]), "this port does not speak TLS"],
])("%s is refused in one line on both sides", async (_name, bytes, said) => {
  await using peer = await dialPeer(rig.port);
  peer.write(bytes);
  expect(await peer.ended).toContain(`berth: ${said}`);
  const [line] = rig.logged.filter(({ op }) => op === "debug.refuse").slice(-1);
  expect(line?.["why"]).toContain(said);
});

test.each<[string, (text: string) => string, string]>([
  [
    "a message of a newer SDK",
    (text) => text.replace("tool_declaration", "robot_declaration"),
    'type is "robot_declaration"; accepted: manifest_declaration',
  ],
  [
    "a declaration twice",
    (text) => text.replace(/(\{"type":"tool_decl.*\n)/, "$1$1"),
    "tool_declaration came twice",
  ],
  ["an end without a manifest", () => `${HANDSHAKE}{"type":"end","data":{}}\n`, "end came before"],
  ["an icon that is missing", (text) => text.replace(/\{"type":"asset_chunk".*\n/, ""), "_assets/icon.svg"],
  [
    "a name with other letters",
    (text) => text.replace('"name":"debugged"', '"name":"DEBUGGED"'),
    "manifest.yaml: name",
  ],
  ["an asset outside its folder", (text) => text.replace('"icon.svg","data"', '"../x","data"'), "../x"],
  ["no provider", (text) => text.replace(/\{"type":"(tool|endpoint)_decl.*\n/g, ""), "plugins"],
])("a registration with %s is refused, with the reason", async (_name, edit, said) => {
  const tenantId = newTenant();
  await using peer = await connectPeer({ port: rig.port, key: await rig.key(tenantId), edit });
  expect(await peer.ended).toContain(said);
  expect(await rig.installation(tenantId)).toBeUndefined();
});
const HANDSHAKE = '{"type":"handshake","data":{"key":"KEY"}}\n';

test("declarations over their bounds are refused before they are parsed", async () => {
  await using peer = await dialPeer(rig.port);
  peer.write(`{"type":"handshake","data":{"key":"${await rig.key(newTenant())}"}}\n`);
  const piece = Buffer.alloc(1_048_576, "x");
  for (let n = 0; n < 5; n += 1) peer.write(piece);
  expect(await peer.ended).toContain("berth: a line has more than 4194304 bytes");
});

test("a message over the frame limit ends its session alone", async () => {
  const { tenantId, peer } = await aPlugin(rig, {
    script: ({ data }, say) => {
      const { text } = Object(data["tool_parameters"]) as { text: string };
      const large = text === "large" ? "x".repeat(1_100_000) : text;
      say("stream", { type: "text", message: { text: large }, meta: null });
      say("end", {});
    },
  });
  await using _ = peer;
  await expect(rig.call(tenantId, { text: "large" })).rejects.toMatchObject({ code: "frame_too_large" });
  expect(await rig.call(tenantId, { text: "small" })).toEqual(["small"]);
});

test("a large message that fits arrives whole, beside others", async () => {
  const text = "y".repeat(900_000);
  const { tenantId, peer } = await aPlugin();
  await using _ = peer;
  const calls = [{ text }, { text: "a" }, { text }, { text: "b" }].map((one) => rig.call(tenantId, one));
  expect(await Promise.all(calls)).toEqual([[text], ["a"], [text], ["b"]]);
});

test("silent and slow peers are closed in time, and are few at once", async () => {
  await using strict = await openDebugPort(database, { handshakeMs: 500, silenceMs: 500 });
  const silent = await Promise.all(Array.from({ length: 40 }, () => dialPeer(strict.port)));
  const said = await Promise.all(silent.map(({ ended }) => ended));
  expect(said.filter((line) => line === "berth: too many connections without a key; retry")).toHaveLength(8);
  expect(said.filter((line) => line === "berth: no key came within 0.5 s")).toHaveLength(32);
  await using slow = await dialPeer(strict.port);
  slow.write('{"type":');
  expect(await slow.ended).toBe("berth: no key came within 0.5 s");
  const { tenantId, peer } = await aPlugin(strict);
  expect(await peer.ended).toBe("berth: no heartbeat came for 0.5 s");
  await gone(tenantId, strict);
});

test("a tenant has so many plugins connected at once and no more", async () => {
  await using strict = await openDebugPort(database, { tenantConnectionsMax: 1 });
  const { tenantId, peer } = await aPlugin(strict);
  await using _ = peer;
  const key = await strict.key(tenantId);
  const edit = (text: string) => text.replace('"name":"debugged"', '"name":"other"');
  await using second = await connectPeer({ port: strict.port, key, edit });
  expect(await second.ended).toBe("berth: the tenant has 1 plugins connected already");
  expect(await strict.call(tenantId, { text: "still" })).toEqual(["still"]);
});

test("a plugin that does not read makes its callers wait, and nobody else", async () => {
  const { tenantId, peer } = await aPlugin(rig, { script: () => undefined });
  await using _ = peer;
  peer.socket.pause();
  const text = "z".repeat(900_000);
  const calls = Array.from({ length: 40 }, () =>
    rig.call(tenantId, { text }).catch((error: unknown) => error),
  );
  expect(await Promise.race(calls)).toMatchObject({ code: "busy" });
  const other = await aPlugin();
  await using _other = other.peer;
  expect(await rig.call(other.tenantId, { text: "free" })).toEqual(["free"]);
  peer.socket.destroy();
  await Promise.all(calls);
});

test("of two processes with the same port one has it, and the other takes it over", async () => {
  const first = await openDebugPort(database);
  const { port } = first;
  await using second = await openDebugPort(database, { port });
  expect(second.port).toBe(0);
  const { peer } = await aPlugin(first);
  await first[Symbol.asyncDispose]();
  expect(await peer.ended).toBe("berth: Berth is stopping");
  await expect.poll(() => second.port).toBe(port);
  await using again = (await aPlugin(second)).peer;
  expect(again.socket.destroyed).toBe(false);
});

test("with a certificate the port accepts TLS alone", async () => {
  await using authority = await makeAuthority();
  const { certFile, keyFile } = await authority.issue(["DNS:localhost"]);
  const tls = createSecureContext({ cert: await readFile(certFile), key: await readFile(keyFile) });
  await using secure = await openDebugPort(database, { tls });
  await using plain = await dialPeer(secure.port);
  plain.write(HANDSHAKE);
  expect(await plain.ended).toBe("berth: this port accepts TLS only: connect through a tunnel");
  const tenantId = newTenant();
  const socket = connectTls({ port: secure.port, host: "localhost", ca: await readFile(authority.caFile) });
  await once(socket, "secureConnect");
  await using peer = new DebugPeer(socket, ({ data }, say) => {
    const { text } = Object(data["tool_parameters"]) as { text: string };
    say("stream", { type: "text", message: { text }, meta: null });
    say("end", {});
  });
  peer.write(await registration({ key: await secure.key(tenantId) }));
  await connected(tenantId, secure);
  expect(await secure.call(tenantId, { text: "sealed" })).toEqual(["sealed"]);
});

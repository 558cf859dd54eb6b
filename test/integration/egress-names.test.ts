/** What the guard tells plugins of names, asked as their resolvers ask. */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import { eventually } from "../harness/clients/client.ts";

const ROOT = join(import.meta.dirname, "../..");
const scope = new Scope();
const told: Record<string, unknown>[] = [];
const asked: string[] = [];
const resolver = new Resolver({ timeout: 10_000, tries: 1 });

beforeAll(async () => {
  const port = await startServer();
  const names = spawn("python3", [
    join(ROOT, "test/harness/rigs/guard-names.py"),
    join(ROOT, "runtime-images/python/egress"),
    String(port),
    ...["api.example.com:443", "*.wide.example:443", "10.0.0.0/8"],
  ]);
  scope.add(() => void names.kill("SIGKILL"));
  resolver.setServers([`127.0.0.1:${await portOf(names)}`]);
});
afterAll(() => scope.close());

/** A server of names that knows one address for each, and says whom it was asked for. */
async function startServer(): Promise<number> {
  const server = createSocket("udp4");
  server.on("message", (packet, from) => {
    const end = packet.indexOf(0, 12) + 5;
    asked.push(packet.toString("latin1", 12, end));
    const head = Buffer.from([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7]);
    server.send(Buffer.concat([packet.subarray(0, 2), head, packet.subarray(12, end), record]), from.port);
  });
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  scope.add(() => new Promise((resolve) => server.close(() => resolve())));
  return server.address().port;
}

function portOf(names: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    names.once("exit", (code) => reject(new Error(`ended with ${code}`)));
    if (names.stdout === null) throw new Error("no output");
    createInterface({ input: names.stdout }).on("line", (line) => {
      const word = JSON.parse(line) as Record<string, unknown>;
      told.push(word);
      if (typeof word["port"] === "number") resolve(word["port"]);
    });
  });
}

test("a listed name is resolved, and its address is learned before the answer is sent", async () => {
  expect(await resolver.resolve4("API.example.com")).toEqual(["203.0.113.7"]);
  expect(told).toContainEqual({ name: "api.example.com", addresses: ["203.0.113.7"] });
  expect(await resolver.resolve4("a.b.wide.example")).toEqual(["203.0.113.7"]);
});

test("an unlisted name is not found, is never sent to the outside server, and is reported as refused", async () => {
  const before = asked.length;
  for (const name of ["com", "xapi.example.com", "wide.example", "secret-in-a-name.evil.example"])
    await expect(resolver.resolve4(name)).rejects.toMatchObject({ code: "ENOTFOUND" });
  expect(asked.slice(before)).toEqual([]);
  await eventually(async () => told.find(({ refused }) => refused === "secret-in-a-name.evil.example"));
});

test("a listed name has no IPv6 address, because the plugins' network does not carry IPv6", async () => {
  await expect(resolver.resolve6("api.example.com")).rejects.toMatchObject({ code: "ENODATA" });
});

test("packets that are not queries do not stop the server", async () => {
  const [server = ""] = resolver.getServers();
  const socket = createSocket("udp4");
  const port = Number(server.split(":")[1]);
  for (const bytes of [[], [1], [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 1], Array(600).fill(255)])
    await new Promise((resolve) => socket.send(Buffer.from(bytes), port, "127.0.0.1", resolve));
  socket.close();
  expect(await resolver.resolve4("api.example.com")).toEqual(["203.0.113.7"]);
});

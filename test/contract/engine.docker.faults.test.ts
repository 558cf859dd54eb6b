/** Faults that a real engine shows rarely, produced by a stub of its API on a socket. */

import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import util from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createDockerEngine, DOCKER_ENGINE_SETTINGS } from "../../src/engine/docker/docker-engine.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { silentLog } from "../../src/observe/log.ts";
import { systemClock } from "../../src/util/clock.ts";
import { aContainerSpec, within } from "../harness/rigs/test-engine.ts";

const ID = "ab".repeat(32);
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let folder: string;
let socketPath: string;
let routes: Record<string, Handler>;
let asked: string[];
let engine: Engine;
let close: () => Promise<void>;

const json =
  (body: unknown, status = 200): Handler =>
  (_request, response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
const version = (ApiVersion: string, MinAPIVersion: string) => json({ ApiVersion, MinAPIVersion });

async function listen(): Promise<void> {
  const server = createServer((request, response) => {
    const [path = ""] = (request.url ?? "").split("?");
    const key = `${request.method} ${path.replace(/^\/v1\.\d+/, "")}`;
    asked.push(`${request.method} ${request.url}`);
    const handler = routes[key];
    if (handler === undefined) response.writeHead(404).end(JSON.stringify({ message: `no ${key}` }));
    else handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-stub-"));
  socketPath = join(folder, "engine.sock");
  asked = [];
  routes = {
    "GET /version": version("1.41", "1.12"),
    "GET /info": json({
      Name: "stub",
      ServerVersion: "1",
      Architecture: "x86_64",
      CgroupVersion: "2",
      NCPU: 2,
      MemTotal: 1_000_000_000,
    }),
    "GET /images/tiny:1/json": json({
      Id: `sha256:${ID}`,
      RepoTags: ["tiny:1"],
      Size: 1,
      Created: "2026-01-01T00:00:00Z",
    }),
  };
  await listen();
  const settings = { ...DOCKER_ENGINE_SETTINGS, callTimeoutMs: 300, pollMs: 5, lineBytesMax: 4_096 };
  engine = createDockerEngine({ socketPath, log: silentLog, clock: systemClock, settings });
});
afterEach(async () => {
  await engine[Symbol.asyncDispose]();
  await close();
  await rm(folder, { recursive: true });
});

const find = () => engine.findContainer(ID, within());
const nextEvent = () => engine.events({}, {}, within())[Symbol.asyncIterator]().next();

test("an engine that does not exist is engine_unavailable at once", async () => {
  await close();
  await expect(find()).rejects.toMatchObject({ code: "engine_unavailable" });
});

test("an engine with an API older than 1.41 is refused with both versions named", async () => {
  routes["GET /version"] = version("1.40", "1.12");
  await expect(find()).rejects.toMatchObject({
    code: "engine_refused",
    message: expect.stringMatching(/1\.40.*1\.41/),
  });
});

test("an engine whose oldest API is newer than ours is refused with its version named", async () => {
  routes["GET /version"] = version("1.99", "1.90");
  await expect(find()).rejects.toMatchObject({
    code: "engine_refused",
    message: expect.stringContaining("1.90"),
  });
});

test("the newest API that both sides support is used, whatever DOCKER_HOST names", async () => {
  vi.stubEnv("DOCKER_HOST", "tcp://127.0.0.1:1");
  try {
    routes["GET /version"] = version("1.52", "1.44");
    expect((await engine.info(within())).apiVersion).toBe("1.44");
    expect(asked).toEqual(["GET /version", "GET /v1.44/info"]);
  } finally {
    vi.unstubAllEnvs();
  }
});

test("a call that gets no answer fails at its deadline", async () => {
  routes[`GET /containers/${ID}/json`] = () => undefined;
  await expect(find()).rejects.toMatchObject({
    code: "engine_unavailable",
    message: expect.stringContaining("300 ms"),
  });
});

test("a call that hangs after its headers fails at its deadline", async () => {
  routes[`GET /containers/${ID}/json`] = (_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).write('{"Id":');
  };
  await expect(find()).rejects.toMatchObject({
    code: "engine_unavailable",
    message: expect.stringContaining("300 ms"),
  });
});

test("a call that is cut after its headers fails at once", async () => {
  routes[`GET /containers/${ID}/json`] = (_request, response) => {
    response.writeHead(200, { "content-length": "1000" });
    response.write('{"Id":', () => response.destroy());
  };
  await expect(find()).rejects.toMatchObject({
    code: "engine_unavailable",
    message: expect.stringContaining("the connection was lost"),
  });
});

test("an abort during an answer rejects with its reason and closes the connection", async () => {
  const stop = new AbortController();
  const closed = Promise.withResolvers<void>();
  routes[`GET /containers/${ID}/json`] = (_request, response) => {
    response.on("close", closed.resolve);
    response.writeHead(200).write("{", () => stop.abort(new Error("enough")));
  };
  await expect(engine.findContainer(ID, stop.signal)).rejects.toThrow("enough");
  await closed.promise;
});

test("an answer that is not JSON or lacks required fields is engine_refused", async () => {
  routes[`GET /containers/${ID}/json`] = (_request, response) => {
    response.writeHead(200).end("<html>");
  };
  await expect(find()).rejects.toMatchObject({ code: "engine_refused" });
  routes[`GET /containers/${ID}/json`] = json({ Id: ID });
  await expect(find()).rejects.toMatchObject({ code: "engine_refused" });
});

test("a refusal contains the engine's own message", async () => {
  routes[`GET /containers/${ID}/json`] = json({ message: "disk on fire" }, 500);
  await expect(find()).rejects.toMatchObject({
    code: "engine_refused",
    message: expect.stringContaining("disk on fire"),
  });
});

test("a lost reply to a create is engine_unavailable, and another attempt reports the conflict", async () => {
  let made = false;
  routes["POST /containers/create"] = (request, response) => {
    request.resume();
    if (made) return json({ message: "name in use" }, 409)(request, response);
    made = true;
    response.destroy();
  };
  const spec = aContainerSpec({ image: "tiny:1" });
  await expect(engine.createContainer(spec, within())).rejects.toMatchObject({ code: "engine_unavailable" });
  await expect(engine.createContainer(spec, within())).rejects.toMatchObject({ code: "conflict" });
});

test("an aborted create leaves no container: it is removed by its id once the engine has made it", async () => {
  const reached = Promise.withResolvers<void>();
  const made = Promise.withResolvers<void>();
  routes["POST /containers/create"] = (request, response) => {
    request.resume();
    reached.resolve();
    void made.promise.then(() => json({ Id: ID }, 201)(request, response));
  };
  routes[`DELETE /containers/${ID}`] = (_request, response) => response.writeHead(204).end();
  const stop = new AbortController();
  const spec = aContainerSpec({ image: "tiny:1" });
  const creating = engine.createContainer(spec, stop.signal).catch((error: unknown) => error);
  expect(await Promise.race([reached.promise, creating])).toBeUndefined();
  const reason = new Error("cancelled");
  stop.abort(reason);
  made.resolve();
  expect(await creating).toBe(reason);
  expect(asked.at(-1)).toContain(`DELETE /v1.41/containers/${ID}`);
});

test("names that would change a request's path are refused before any request", async () => {
  for (const name of ["../images", "a/b", "a?force=1", "", "x".repeat(201), "a..b"]) {
    await expect(engine.findContainer(name, within())).rejects.toMatchObject({ code: "invalid_input" });
    await expect(engine.removeImage(`${name}?`, within())).rejects.toMatchObject({ code: "invalid_input" });
  }
  expect(asked).toEqual([]);
});

test("a removal waits for another removal in progress", async () => {
  let looks = 0;
  routes[`DELETE /containers/${ID}`] = json({ message: "in progress" }, 409);
  routes[`GET /containers/${ID}/json`] = (request, response) => {
    looks += 1;
    const state = { Status: "removing", OOMKilled: false, ExitCode: 0, StartedAt: "", FinishedAt: "" };
    const found = {
      Id: ID,
      Name: "/x",
      Image: "i",
      Created: "2026-01-01T00:00:00Z",
      HostConfig: {},
      Config: {},
      State: state,
    };
    json(looks < 3 ? found : { message: "gone" }, looks < 3 ? 200 : 404)(request, response);
  };
  await engine.removeContainer(ID, within());
  expect(looks).toBe(3);
});

const event = (Action: string, timeNano: number) =>
  `${JSON.stringify({ Type: "container", Action, Actor: { ID, Attributes: { exitCode: "1", note: "é" } }, timeNano })}\n`;

test("a cut event stream throws engine_unavailable after the events that arrived, and since replays the rest", async () => {
  routes["GET /events"] = (_request, response) => {
    response.writeHead(200).write(event("start", 1e18), () => response.destroy());
  };
  const seen: string[] = [];
  const watch = async (since: Date | undefined) => {
    const options = since === undefined ? {} : { since };
    for await (const { action, at } of engine.events({}, options, within()))
      seen.push(`${action} ${at.getTime()}`);
  };
  await expect(watch(undefined)).rejects.toMatchObject({ code: "engine_unavailable" });
  await close();
  await expect(watch(undefined)).rejects.toMatchObject({ code: "engine_unavailable" });
  await listen();
  routes["GET /events"] = (_request, response) => {
    response.writeHead(200).end(event("start", 1e18) + event("start", 1e18) + event("die", 1e18 + 5.5e6));
  };
  await expect(watch(new Date(1e12))).rejects.toMatchObject({ code: "engine_unavailable" });
  expect(seen).toEqual(["start 1000000000000", "start 1000000000000", "die 1000000000005"]);
  expect(asked.at(-1)).toContain("since=1000000000.000");
});

test("events cut inside a line or a character arrive whole", async () => {
  const bytes = Buffer.from(event("die", 1e18));
  const middle = bytes.indexOf("é") + 1;
  routes["GET /events"] = (_request, response) => {
    response.writeHead(200).write(bytes.subarray(0, middle), () => {
      setImmediate(() => response.write(bytes.subarray(middle)));
    });
  };
  const { value } = await nextEvent();
  expect(value).toMatchObject({ action: "die", exitCode: 1, labels: { note: "é" } });
});

test("an event line that is not JSON or never ends is engine_refused", async () => {
  for (const line of ["not json\n", "x".repeat(10_000)]) {
    routes["GET /events"] = (_request, response) => {
      response.writeHead(200).write(line);
    };
    await expect(nextEvent()).rejects.toMatchObject({ code: "engine_refused" });
  }
});

test("a log stream that is cut or carries the engine's own error throws", async () => {
  const read = () => Array.fromAsync(engine.logs(ID, { follow: true }, within()));
  const frame = (type: number, text: string) => {
    const header = Buffer.alloc(8);
    header.writeUInt8(type, 0);
    header.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  const line = frame(1, "2026-01-01T00:00:00.000000000Z hello\n");
  routes[`GET /containers/${ID}/logs`] = (_request, response) => {
    response.writeHead(200).write(line.subarray(0, 20), () => response.destroy());
  };
  await expect(read()).rejects.toMatchObject({ code: "engine_unavailable" });
  routes[`GET /containers/${ID}/logs`] = (_request, response) => {
    response.writeHead(200).end(Buffer.concat([line, frame(3, "the file is gone")]));
  };
  await expect(read()).rejects.toMatchObject({
    code: "engine_refused",
    message: expect.stringContaining("the file is gone"),
  });
});

test("an exec whose stream is cut while it runs is engine_unavailable, and its container is killed", async () => {
  let killed = false;
  routes[`POST /containers/${ID}/exec`] = json({ Id: ID }, 201);
  routes[`POST /exec/${ID}/start`] = (_request, response) => {
    response.writeHead(200, { connection: "close" }).end();
  };
  routes[`GET /exec/${ID}/json`] = json({ Running: true, ExitCode: null });
  routes[`POST /containers/${ID}/kill`] = (request, response) => {
    killed = true;
    json({ message: "gone" }, 404)(request, response);
  };
  const spec = { command: ["true"], env: {}, workingDir: "/", user: "0:0" };
  const exec = engine.exec(ID, spec, { onOutput: () => undefined }, within());
  await expect(exec).rejects.toMatchObject({ code: "engine_unavailable" });
  expect(killed).toBe(true);
});

test("the debug text of the vendor's client for a request is short, however many requests are open", async () => {
  routes["GET /events"] = (_request, response) => response.writeHead(200).flushHeaders();
  const open = [nextEvent(), nextEvent(), nextEvent()].map((event) => event.catch(() => undefined));
  await expect.poll(() => asked.filter((request) => request.includes("/events"))).toHaveLength(3);
  const inspect = vi.spyOn(util, "inspect");
  try {
    await engine.info(within());
    const texts = inspect.mock.results.map(({ value }) => String(value));
    expect(texts.length).toBeGreaterThan(0);
    expect(Math.max(...texts.map(({ length }) => length))).toBeLessThan(5000);
  } finally {
    inspect.mockRestore();
    await engine[Symbol.asyncDispose]();
    await Promise.all(open);
  }
});

test("closing the engine ends its open calls and streams", async () => {
  const open = Promise.withResolvers<void>();
  routes["GET /events"] = (_request, response) => {
    response.writeHead(200).flushHeaders();
    open.resolve();
  };
  const waiting = nextEvent();
  await open.promise;
  await engine[Symbol.asyncDispose]();
  await expect(waiting).rejects.toMatchObject({ code: "engine_unavailable" });
  await expect(find()).rejects.toMatchObject({ code: "engine_unavailable" });
});

test("an aborted commit leaves no image: it is removed by its id once the engine has made it", async () => {
  const reached = Promise.withResolvers<void>();
  const made = Promise.withResolvers<void>();
  routes["GET /containers/c1/json"] = json({
    Id: "c1",
    Name: "/c1",
    Image: `sha256:${ID}`,
    Created: "2026-01-01T00:00:00Z",
    HostConfig: {},
    Config: { Labels: {}, Env: [] },
    State: {
      Status: "exited",
      OOMKilled: false,
      ExitCode: 0,
      StartedAt: "2026-01-01T00:00:00Z",
      FinishedAt: "2026-01-01T00:00:01Z",
    },
  });
  routes["POST /commit"] = (request, response) => {
    reached.resolve();
    void made.promise.then(() => json({ Id: `sha256:${ID}` })(request, response));
  };
  routes[`DELETE /images/sha256:${ID}`] = json([]);
  const stop = new AbortController();
  const spec = {
    reference: "made:1",
    labels: {},
    env: {},
    command: ["/bin/true"],
    workingDir: "/",
    user: "1:1",
  };
  const committing = engine.commit("c1", spec, stop.signal).catch((error: unknown) => error);
  expect(await Promise.race([reached.promise, committing])).toBeUndefined();
  const reason = new Error("cancelled");
  stop.abort(reason);
  made.resolve();
  expect(await committing).toBe(reason);
  expect(asked.at(-1)).toContain(`DELETE /v1.41/images/sha256:${ID}`);
});

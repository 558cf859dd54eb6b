import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TaskId } from "../../src/domain/ids.ts";
import { silentLog } from "../../src/observe/log.ts";
import { openBullQueue } from "../../src/queue/bullmq/bull-queue.ts";
import { type RedisChild, startRedisChild } from "../../src/queue/bullmq/redis-child.ts";
import type { Queue } from "../../src/queue/queue.ts";

const taskId = (n: number) => TaskId.parse(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`);

let folder: string;
let redis: RedisChild;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-queue-"));
  redis = await startRedisChild({ folder: join(folder, "redis"), log: silentLog, startTimeoutMs: 10_000 });
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function openQueue(instanceId: string): Queue {
  return openBullQueue({
    redis: { socketPath: redis.socketPath },
    instanceId,
    enqueueTimeoutMs: 1000,
    lockMs: 5000,
    log: silentLog,
  });
}

describe("the queue", () => {
  test("a job reaches the handler with its payload", async () => {
    await using queue = openQueue("deliver1");
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await using _worker = await queue.work({ "task.run": async (payload) => resolve(payload) });
    await queue.enqueue("task.run", { taskId: taskId(1), attempt: 0 });
    expect(await promise).toEqual({ taskId: taskId(1), attempt: 0 });
  });

  test("an unfinished job absorbs its duplicates, and a later attempt of its task passes", async () => {
    await using queue = openQueue("dedupe01");
    const seen: number[] = [];
    const begun = Promise.withResolvers<void>();
    const hold = Promise.withResolvers<void>();
    const last = Promise.withResolvers<void>();
    await using _worker = await queue.work({
      "task.run": async ({ attempt }) => {
        seen.push(attempt);
        begun.resolve();
        if (attempt === 0) await hold.promise;
        else last.resolve();
      },
    });
    await queue.enqueue("task.run", { taskId: taskId(2), attempt: 0 });
    await begun.promise;
    await queue.enqueue("task.run", { taskId: taskId(2), attempt: 0 });
    await queue.enqueue("task.run", { taskId: taskId(2), attempt: 1 });
    await last.promise;
    hold.resolve();
    expect(seen).toEqual([0, 1]);
  });

  test("stopping the worker aborts the signal of a running handler and waits for it", async () => {
    await using queue = openQueue("stopping");
    const begun = Promise.withResolvers<void>();
    let ended = false;
    const worker = await queue.work({
      "task.run": (_payload, signal) =>
        new Promise((resolve) => {
          begun.resolve();
          signal.addEventListener("abort", () => {
            ended = true;
            resolve();
          });
        }),
    });
    await queue.enqueue("task.run", { taskId: taskId(3), attempt: 0 });
    await begun.promise;
    await worker[Symbol.asyncDispose]();
    expect(ended).toBe(true);
  });

  test("a published message reaches every subscriber of its topic", async () => {
    await using one = openQueue("messages");
    await using two = openQueue("messages");
    const heard = Promise.withResolvers<string>();
    await two.subscribe("runtimes", heard.resolve);
    const pump = setInterval(() => one.publish("runtimes", "hello").catch(() => undefined), 20);
    try {
      expect(await heard.promise).toBe("hello");
    } finally {
      clearInterval(pump);
    }
  });

  test("a topic is unsubscribed when its last listener leaves, and not earlier", async () => {
    await using queue = openQueue("channels");
    const channels = async () => await listed("berth-channels-*");
    const heard: string[] = [];
    const [kept, other] = await Promise.all([
      queue.subscribe("kept", (message) => heard.push(message)),
      queue.subscribe("kept", () => {
        throw new Error("a listener that fails");
      }),
    ]);
    for (let n = 0; n < 20; n += 1) {
      const [first, second] = [
        await queue.subscribe(`task.${n}`, () => undefined),
        await queue.subscribe(`task.${n}`, () => undefined),
      ];
      await Promise.all([first, second, first].map((one) => one[Symbol.asyncDispose]()));
    }
    await other[Symbol.asyncDispose]();
    // Left and taken up again at once: the later word counts.
    const left = await queue.subscribe("again", () => undefined);
    await left[Symbol.asyncDispose]();
    await using _again = await queue.subscribe("again", () => undefined);
    await expect.poll(channels).toEqual(["berth-channels-again", "berth-channels-kept"]);
    await queue.publish("kept", "hello");
    await expect.poll(() => heard).toEqual(["hello"]);
    await kept[Symbol.asyncDispose]();
    await expect.poll(channels).toEqual(["berth-channels-again"]);
  });
});

/** Channels that somebody is subscribed to. */
async function listed(pattern: string): Promise<readonly string[]> {
  const client = new Redis(redis.socketPath);
  try {
    return ((await client.pubsub("CHANNELS", pattern)) as string[]).toSorted();
  } finally {
    client.disconnect();
  }
}

describe("a queue whose Redis is gone", () => {
  test("refuses a job in time, and delivers again after the server is restarted", async () => {
    const own = await startRedisChild({
      folder: join(folder, "second"),
      log: silentLog,
      startTimeoutMs: 10_000,
    });
    await using queue = openBullQueue({
      redis: { socketPath: own.socketPath },
      instanceId: "outage01",
      enqueueTimeoutMs: 300,
      lockMs: 5000,
      log: silentLog,
    });
    const { promise, resolve } = Promise.withResolvers<number>();
    await using _worker = await queue.work({ "task.run": async ({ attempt }) => resolve(attempt) });
    await queue.enqueue("task.run", { taskId: taskId(9), attempt: 7 });
    expect(await promise).toBe(7);
    const back = Promise.withResolvers<void>();
    queue.onReconnect(back.resolve);

    const pid = own.pid ?? 0;
    process.kill(pid, "SIGSTOP");
    await expect(queue.enqueue("task.run", { taskId: taskId(10), attempt: 0 })).rejects.toMatchObject({
      code: "queue_unavailable",
    });
    process.kill(pid, "SIGKILL");
    await back.promise;
    expect(own.pid).not.toBe(pid);
    await queue.enqueue("task.run", { taskId: taskId(11), attempt: 3 });
    await own[Symbol.asyncDispose]();
  });
});

describe("the embedded Redis", () => {
  test("keeps its jobs over a restart", async () => {
    const at = join(folder, "kept");
    const options = { folder: at, log: silentLog, startTimeoutMs: 10_000 };
    const first = await startRedisChild(options);
    const before = openBullQueue({
      redis: { socketPath: first.socketPath },
      instanceId: "kept0000",
      enqueueTimeoutMs: 2000,
      lockMs: 5000,
      log: silentLog,
    });
    await before.enqueue("task.run", { taskId: taskId(20), attempt: 1 });
    await before[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();

    await using second = await startRedisChild(options);
    await using queue = openBullQueue({
      redis: { socketPath: second.socketPath },
      instanceId: "kept0000",
      enqueueTimeoutMs: 2000,
      lockMs: 5000,
      log: silentLog,
    });
    const { promise, resolve } = Promise.withResolvers<string>();
    await using _worker = await queue.work({ "task.run": async (payload) => resolve(payload.taskId) });
    expect(await promise).toBe(taskId(20));
  });

  test("ends with its Berth process, even if that is killed", async () => {
    const at = join(folder, "orphan");
    const script = `
      import { startRedisChild } from ${JSON.stringify(join(import.meta.dirname, "../../src/queue/bullmq/redis-child.ts"))};
      const log = { debug() {}, info() {}, warn() {}, error() {}, child() { return log; } };
      const redis = await startRedisChild({ folder: ${JSON.stringify(at)}, log, startTimeoutMs: 10000 });
      console.log(redis.pid);
      setInterval(() => {}, 1000);`;
    const host = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pid = await new Promise<number>((resolve) =>
      host.stdout.once("data", (data) => resolve(Number(String(data)))),
    );
    host.kill("SIGKILL");
    await expect.poll(() => isAlive(pid), { timeout: 10_000, interval: 20 }).toBe(false);
    await using next = await startRedisChild({ folder: at, log: silentLog, startTimeoutMs: 10_000 });
    expect(next.pid).not.toBe(pid);
  });

  test("is adopted instead of started twice if a server already answers in the folder", async () => {
    await using other = await startRedisChild({
      folder: join(folder, "adopted"),
      log: silentLog,
      startTimeoutMs: 10_000,
    });
    const adopter = await startRedisChild({
      folder: join(folder, "adopted"),
      log: silentLog,
      startTimeoutMs: 10_000,
    });
    expect(adopter.pid).toBeUndefined();
    expect(adopter.socketPath).toBe(other.socketPath);
    await adopter[Symbol.asyncDispose]();
  });

  test("refuses a socket path that is too long for an address", async () => {
    const long = join(folder, "x".repeat(120));
    await expect(
      startRedisChild({ folder: long, log: silentLog, startTimeoutMs: 1000 }),
    ).rejects.toMatchObject({
      code: "socket_path_too_long",
    });
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

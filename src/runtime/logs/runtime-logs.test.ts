import { appendFile, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import type { ContainerState } from "../../domain/container.ts";
import { RuntimeId } from "../../domain/ids.ts";
import type { LogChunk } from "../../engine/engine.ts";
import { silentLog } from "../../observe/log.ts";
import { systemClock } from "../../util/clock.ts";
import { RUNTIME_LOG_DEFAULTS } from "../settings.ts";
import { LogKeeper } from "./log-keeper.ts";
import { logFile, logFolder } from "./paths.ts";
import { RotatedFile } from "./rotated-file.ts";
import { createRuntimeLogs } from "./runtime-logs.ts";

const POOL = "0123456789abcdef";
const ID = RuntimeId.parse("aaaaaaaaaa");
const never = new AbortController().signal;
let dataFolder: string;

beforeEach(async () => {
  dataFolder = await mkdtemp(join(tmpdir(), "l-"));
});
afterEach(() => rm(dataFolder, { recursive: true, force: true }));

const line = (ms: number, text: string): LogChunk => ({
  stream: "stdout",
  at: new Date(1_700_000_000_000 + ms),
  text,
});

/** Follows an engine that holds these lines of an ended container, as a worker would. */
async function follow(lines: readonly LogChunk[], settings = {}): Promise<void> {
  await using keeper = new LogKeeper({
    engine: {
      async *logs(_id, { since }) {
        yield* lines.filter(({ at }) => since === undefined || at >= since);
      },
      findContainer: async () => undefined,
    },
    clock: systemClock,
    log: silentLog,
    dataFolder,
    settings: { ...RUNTIME_LOG_DEFAULTS, ...settings },
  });
  keeper.follow({ id: ID, poolKey: POOL, containerId: "c" });
  await keeper.finish(ID, 10_000);
}

async function read(
  options: { since?: Date; requestId?: string; tail?: number } = {},
): Promise<readonly string[]> {
  const logs = createRuntimeLogs({ dataFolder, clock: systemClock, settings: { pollMs: 10 } });
  const texts: string[] = [];
  for await (const { text } of logs.read(POOL, { follow: false, ...options }, never)) texts.push(text);
  return texts;
}

const ENDED: ContainerState = {
  id: "c",
  name: "c",
  image: "i",
  labels: {},
  phase: "exited",
  createdAt: new Date(0),
  startedAt: new Date(0),
  finishedAt: new Date(0),
  exitCode: 0,
  oomKilled: false,
};

test("a full disk fails the next write and the flush, and leaves no unhandled rejection", async () => {
  const path = join(dataFolder, "full.log");
  await symlink("/dev/full", path);
  await using file = await RotatedFile.open({ pathOf: () => path, bytesMax: 1000, files: 2 });
  await file.write("a line\n");
  await expect(file.flush()).rejects.toMatchObject({ code: "ENOSPC" });
  await expect(file.write("another\n")).rejects.toMatchObject({ code: "ENOSPC" });
});

describe("a runtime's log", () => {
  it("resumes after a restart without repeating or losing a line, even equal and out-of-order lines", async () => {
    const before = [line(0, "a"), line(5, "same"), line(5, "same"), line(9, "b")];
    await follow(before);
    await follow([...before.slice(0, 3), line(7, "late"), ...before.slice(3), line(9, "b"), line(12, "c")]);
    expect([...(await read())].sort()).toEqual(["a", "b", "b", "c", "late", "same", "same"]);
  });

  it("drops the half line that a crash left and reads it again", async () => {
    await follow([line(0, "whole")]);
    const path = logFile(logFolder(dataFolder, POOL), ID);
    await appendFile(path, `${line(1, "").at.toISOString()} stdout hal`);
    await follow([line(0, "whole"), line(1, "half no more")]);
    expect(await read()).toEqual(["whole", "half no more"]);
  });

  it("is rotated by size, keeps its newest files and is read across them", async () => {
    const lines = Array.from({ length: 400 }, (_, n) => line(n * 10, `line ${n} ${"x".repeat(60)}`));
    for (let n = 0; n < lines.length; n += 50)
      await follow(lines.slice(0, n + 50), { bytesMax: 10_000, files: 3 });
    const texts = await read();
    expect(texts.at(-1)).toMatch(/^line 399 /);
    expect(texts.length).toBeLessThan(400);
    expect(texts.map((text) => Number(text.split(" ")[1]))).toEqual(
      Array.from({ length: texts.length }, (_, n) => 400 - texts.length + n),
    );
    expect((await readFile(logFile(logFolder(dataFolder, POOL), ID))).length).toBeLessThanOrEqual(10_000);
  });

  it("is read by time and by number of last lines", async () => {
    await follow([line(0, "a"), line(10, "b"), line(20, "c")]);
    expect(await read({ since: line(10, "").at })).toEqual(["b", "c"]);
    expect(await read({ tail: 1 })).toEqual(["c"]);
    expect(await read({ tail: 0 })).toEqual([]);
  });

  it("is read by the request id of a call, beside lines that an earlier release wrote without ids", async () => {
    const lines = ["untagged", "\u001e[r-1] a", "\u001e[r-1,r-2] both", "\u001e[] \u001e[r-1] forged"];
    await follow(lines.map((text, n) => line(n, text)));
    expect(await read()).toEqual(["untagged", "a", "both", "\u001e[r-1] forged"]);
    expect(await read({ requestId: "r-1" })).toEqual(["a", "both"]);
    expect(await read({ requestId: "r-2", tail: 1 })).toEqual(["both"]);
    expect(await read({ requestId: "r" })).toEqual([]);
  });

  it("is written again without loss when its disk has room again, and the outage is logged once", async () => {
    const folder = logFolder(dataFolder, POOL);
    const path = logFile(folder, ID);
    // A folder in the file's place can be written no more than a full disk.
    await mkdir(path, { recursive: true });
    const said: object[] = [];
    const note = (fields: object) => void said.push(fields);
    let looks = 0;
    await using keeper = new LogKeeper({
      engine: {
        async *logs() {
          yield* [line(0, "a"), line(10, "b")];
        },
        findContainer: async () => {
          looks += 1;
          if (looks === 4) await rm(path, { recursive: true });
          return ENDED;
        },
      },
      // Waits are over at once.
      clock: { now: () => 0, elapsed: () => 0, sleep: async () => undefined },
      log: { debug: note, info: note, warn: note, error: note, child: () => silentLog },
      dataFolder,
      settings: RUNTIME_LOG_DEFAULTS,
    });
    keeper.follow({ id: ID, poolKey: POOL, containerId: "c" });
    await expect.poll(() => said.length).toBe(2);
    expect(said).toMatchObject([
      { op: "runtime.logs", ok: false, code: "EISDIR" },
      { op: "runtime.logs", ok: true },
    ]);
    expect(await read()).toEqual(["a", "b"]);
  });

  it("is followed while it grows", async () => {
    await follow([line(0, "a")]);
    const logs = createRuntimeLogs({ dataFolder, clock: systemClock, settings: { pollMs: 5 } });
    const texts: string[] = [];
    for await (const { text } of logs.read(POOL, { follow: true }, never)) {
      texts.push(text);
      if (texts.length === 2) break;
      await follow([line(0, "a"), line(5, "b")]);
    }
    expect(texts).toEqual(["a", "b"]);
  });
});

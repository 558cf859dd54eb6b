import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { silentLog } from "../../src/observe/log.ts";
import { lockDataFolder } from "../../src/store/data-folder-lock.ts";
import { openStore } from "../../src/store/prisma/open.ts";
import { length } from "../harness/samples/lengths.ts";
import { makeFolder } from "../harness/servers/postgres.ts";

const WRITER = fileURLToPath(new URL("../fixtures/store-writer.ts", import.meta.url));
const SETTINGS = { log: silentLog, poolMax: 1, statementTimeoutMs: 30_000 };

/** Reads the writer's lines until there are `count`; it goes on writing. */
async function acknowledge(child: ChildProcess, lines: string[], count: number): Promise<void> {
  if (child.stdout === null) throw new Error("no output");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once("exit", (code) => reject(new Error(`the writer ended by itself with ${code}`)));
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    if (lines.length === count) resolve();
  });
  await promise;
}

describe("the embedded database", () => {
  it("refuses a second opener with the first one's pid, and loses no acknowledged row when the first is killed", async () => {
    await using folder = await makeFolder("kill");
    const known = new Set<string>();
    for (let round = 0; round < length({ short: 2, soak: 20 }); round += 1) {
      const child = spawn(process.execPath, [WRITER, folder.path], { stdio: ["ignore", "pipe", "inherit"] });
      const exited = once(child, "exit");
      const acknowledged: string[] = [];
      try {
        await acknowledge(child, acknowledged, 50);
        await expect(openStore({ ...SETTINGS, dataFolder: folder.path })).rejects.toMatchObject({
          code: "data_folder_locked",
          details: { pid: child.pid },
        });
      } finally {
        child.kill("SIGKILL");
        await exited;
      }
      for (const id of acknowledged) known.add(id);
      await using store = await openStore({ ...SETTINGS, dataFolder: folder.path });
      const stored = new Set((await store.keys.list()).map(({ id }) => id));
      expect([...known].filter((id) => !stored.has(id))).toEqual([]);
    }
  }, 600_000);

  it("gives the lock of a folder to one of many starters, and to the next one after its release", async () => {
    await using folder = await makeFolder("lock");
    const starts = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataFolder(folder.path)));
    const won = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
    expect(won).toHaveLength(1);
    await won[0]?.[Symbol.asyncDispose]();
    await using _next = await lockDataFolder(folder.path);
  });
});

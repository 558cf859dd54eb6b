import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/harness/doubles/manual-clock.ts";
import { Fault } from "../../domain/fault.ts";
import { silentLog } from "../../observe/log.ts";
import type { ProcessRecord, ProcessRows } from "../../store/contracts/processes.ts";
import { joinProcesses } from "./live-processes.ts";

const POLL_MS = 100;

class Rows implements ProcessRows {
  readonly rows = new Map<string, ProcessRecord & { expiresAt: number }>();
  isAway = false;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async announce(process: Omit<ProcessRecord, "startedAt">, aliveMs: number): Promise<void> {
    this.#enter();
    const now = this.#clock.now();
    this.rows.set(process.id, { ...process, startedAt: new Date(now), expiresAt: now + aliveMs });
  }

  async listLive(): Promise<readonly ProcessRecord[]> {
    this.#enter();
    return [...this.rows.values()].filter(({ expiresAt }) => expiresAt > this.#clock.now());
  }

  async leave(id: string): Promise<void> {
    this.#enter();
    this.rows.delete(id);
  }

  #enter(): void {
    if (this.isAway) throw new Fault("store_unavailable", "The database does not answer.");
  }
}

function world() {
  const clock = new ManualClock();
  const rows = new Rows(clock);
  const join = (id: string, role: ProcessRecord["role"]) =>
    joinProcesses({
      ...{ store: { processes: rows }, self: { id, role, host: "h", pid: 1 }, clock, log: silentLog },
      ...{ pollMs: POLL_MS, aliveMs: 300 },
    });
  return { clock, rows, join };
}

describe("the processes that share a database", () => {
  it("are counted by their role, one with both roles as both", async () => {
    const { clock, join } = world();
    await using first = await join("a", "api");
    expect([first.apis, first.workers]).toEqual([1, 0]);
    await using _worker = await join("b", "worker");
    await using _both = await join("c", "serve");
    await clock.advance(POLL_MS);
    expect([first.apis, first.workers]).toEqual([2, 2]);
  });

  it("notice one that left within a poll, and one that was killed when its row has expired", async () => {
    const { clock, rows, join } = world();
    await using first = await join("a", "api");
    const second = await join("b", "api");
    await rows.announce({ id: "killed", role: "api", host: "h", pid: 2 }, 250);
    let changes = 0;
    first.onChange(() => changes++);
    await clock.advance(POLL_MS);
    expect(first.apis).toBe(3);
    await second[Symbol.asyncDispose]();
    await clock.advance(POLL_MS);
    expect(first.apis).toBe(2);
    await clock.advance(POLL_MS);
    expect(first.apis).toBe(1);
    expect(changes).toBe(3);
  });

  it("keep their number while the database is away, and until all could renew their rows", async () => {
    const { clock, rows, join } = world();
    await using first = await join("a", "api");
    await using second = await join("b", "api");
    await clock.advance(POLL_MS);
    rows.isAway = true;
    for (let polls = 0; polls < 10; polls++) await clock.advance(POLL_MS);
    expect([first.apis, second.apis]).toEqual([2, 2]);
    rows.isAway = false;
    for (let polls = 0; polls < 3; polls++) {
      await clock.advance(POLL_MS);
      expect([first.apis, second.apis]).toEqual([2, 2]);
    }
  });
});

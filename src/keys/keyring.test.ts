import { createHash } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { keyRowsIn } from "../../test/harness/doubles/key-rows.ts";
import { LocalQueue } from "../../test/harness/doubles/local-queue.ts";
import { ManualClock } from "../../test/harness/doubles/manual-clock.ts";
import { Fault } from "../domain/fault.ts";
import { SCOPES } from "../domain/scope.ts";
import { silentLog } from "../observe/log.ts";
import type { ApiKey } from "../store/contracts/keys.ts";
import type { Store } from "../store/store.ts";
import { createKeyring, type Keyring } from "./keyring.ts";

const ADMIN_KEY = "berth_3c1d0f9a7b52e846c1d0f9a7b52e";
const POLL_MS = 2000;
const WRITE_MS = 60_000;

/** The key rows in memory: what every process reads. */
class KeyTable {
  readonly rows: ApiKey[] = [];
  readonly written: { readonly id: string; readonly at: Date }[][] = [];
  reads = 0;
  /** Set: the next reading waits for it. */
  gate: Promise<void> | undefined;
  isAway = false;

  get keys(): Store["keys"] {
    const rows = keyRowsIn(this.rows);
    const assertThere = () => {
      if (this.isAway) throw new Fault("store_unavailable", "The database does not answer.");
    };
    return {
      ...rows,
      list: async () => {
        this.reads += 1;
        assertThere();
        const seen = await rows.list();
        await this.gate;
        return seen;
      },
      noteUse: async (uses) => {
        assertThere();
        await rows.noteUse(uses);
        this.written.push([...uses]);
      },
    };
  }
}

interface House {
  readonly table: KeyTable;
  readonly clock: ManualClock;
  /** Another process on the same rows. */
  join(pubSub?: LocalQueue): Promise<Keyring>;
}

function aHouse(): House {
  const table = new KeyTable();
  const clock = new ManualClock();
  return {
    table,
    clock,
    join: async (pubSub = new LocalQueue()) => {
      const settings = { keyPollMs: POLL_MS, useWriteMs: WRITE_MS };
      const options = { store: table, adminKey: ADMIN_KEY, pubSub, clock, log: silentLog, settings };
      const keyring = await createKeyring(options);
      onTestFinished(() => keyring[Symbol.asyncDispose]());
      return keyring;
    },
  };
}

const aKey = { name: "ci", tenantId: undefined };

test("a key has its scopes, the admin key has all scopes and may manage keys, and any other text is no key", async () => {
  const keyring = await aHouse().join();
  const { key, record } = await keyring.create({ ...aKey, scopes: ["read", "invoke"] });
  expect(keyring.find(key)).toEqual({
    keyId: record.id,
    name: "ci",
    tenantId: undefined,
    scopes: ["read", "invoke"],
    isAdmin: false,
  });
  expect(keyring.find(ADMIN_KEY)).toMatchObject({ keyId: "admin", scopes: SCOPES, isAdmin: true });
  for (const wrong of ["", key.slice(0, -1), `${key}x`, key.toUpperCase(), record.hash, record.hint])
    expect(keyring.find(wrong)).toBeUndefined();
  expect(record.hash).toBe(createHash("sha256").update(key).digest("hex"));
});

test("a key expires to the second in every process, without reading the rows", async () => {
  const { table, clock, join } = aHouse();
  const [one, other] = [await join(), await join()];
  const { key } = await one.create({ ...aKey, expiresAt: new Date(clock.now() + 10_000) });
  await clock.advance(POLL_MS, 500);
  const reads = table.reads;
  table.isAway = true;
  await clock.advance(10_000 - POLL_MS - 1, 1000);
  expect([one.find(key), other.find(key)]).not.toContain(undefined);
  await clock.advance(1);
  expect([one.find(key), other.find(key)]).toEqual([undefined, undefined]);
  expect(table.reads).toBeGreaterThanOrEqual(reads);
});

test("a time in the past is refused by name, and no key is created", async () => {
  const { table, clock, join } = aHouse();
  const keyring = await join();
  await expect(keyring.create({ ...aKey, expiresAt: new Date(clock.now()) })).rejects.toMatchObject({
    code: "invalid_input",
    details: { field: "expires_at" },
  });
  expect(table.rows).toEqual([]);
});

test("a revoked key is refused here at once, and everywhere after the next poll", async () => {
  const { clock, join } = aHouse();
  const [one, other] = [await join(), await join()];
  const { key, record } = await one.create(aKey);
  await clock.advance(POLL_MS, 500);
  expect(other.find(key)).toBeDefined();
  await one.revoke(record.id);
  expect(one.find(key)).toBeUndefined();
  await clock.advance(POLL_MS, 500);
  expect(other.find(key)).toBeUndefined();
});

test("other processes read the keys as soon as they are notified, before their next poll", async () => {
  const { clock, join } = aHouse();
  const pubSub = new LocalQueue();
  const [one, other] = [await join(pubSub), await join(pubSub)];
  const { key, record } = await one.create(aKey);
  await clock.until(() => other.find(key) !== undefined, POLL_MS / 2);
  await one.revoke(record.id);
  await clock.until(() => other.find(key) === undefined, POLL_MS / 2);
});

test("a list that was read before a revocation does not bring the key back", async () => {
  const { table, clock, join } = aHouse();
  const keyring = await join();
  const { key, record } = await keyring.create(aKey);
  const { promise, resolve } = Promise.withResolvers<void>();
  table.gate = promise;
  const reads = table.reads;
  const reading = keyring.changed();
  await clock.until(() => table.reads > reads);
  await keyring.revoke(record.id);
  resolve();
  await reading;
  expect(keyring.find(key)).toBeUndefined();
});

test("known keys stay valid while the database is unavailable", async () => {
  const { table, clock, join } = aHouse();
  const keyring = await join();
  const { key } = await keyring.create(aKey);
  table.isAway = true;
  await clock.advance(5 * POLL_MS, 500);
  expect(keyring.find(key)).toBeDefined();
});

test("last uses are shown at once and written in one batch per period; a failed write is repeated", async () => {
  const { table, clock, join } = aHouse();
  const keyring = await join();
  const keys = [await keyring.create(aKey), await keyring.create(aKey), await keyring.create(aKey)];
  for (let n = 0; n < 100; n += 1) for (const { key } of keys.slice(0, 2)) keyring.find(key);
  const usedAt = new Date(clock.now());
  const { items } = await keyring.list({}, { limit: 10 });
  expect(items.map(({ lastUsedAt }) => lastUsedAt)).toEqual([undefined, usedAt, usedAt]);
  expect(table.written).toEqual([]);
  table.isAway = true;
  await clock.advance(WRITE_MS, 1000);
  expect(table.written).toEqual([]);
  table.isAway = false;
  await clock.advance(WRITE_MS, 1000);
  const uses = keys.slice(0, 2).map(({ record: { id } }) => ({ id, at: usedAt }));
  expect(table.written).toEqual([uses]);
  await clock.advance(2 * WRITE_MS, 1000);
  expect(table.written).toHaveLength(1);
});

/** The embedded database in its thread: nobody waits for a statement but who asked, and its end is no one else's. */
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { EmbeddedDatabase } from "../../src/store/prisma/client/embedded-database.ts";
import { embeddedClient } from "../../src/store/prisma/client/embedded-sessions.ts";
import { Scope } from "../../src/util/scope.ts";
import { placeEmbeddedDatabase } from "../harness/servers/embedded-database.ts";
import { makeFolder } from "../harness/servers/postgres.ts";

const THREAD = new URL("../../src/store/prisma/client/embedded-thread.ts", import.meta.url);
const LONG = "SELECT count(*)::int AS n FROM generate_series(1, 2000000)";

async function openDatabase(scope: Scope) {
  const dataFolder = scope.use(await makeFolder("embedded")).path;
  await placeEmbeddedDatabase(dataFolder, { isEmpty: true });
  const workers: Worker[] = [];
  const startWorker = () => {
    const worker = new Worker(THREAD, { workerData: { folder: join(dataFolder, "pglite") } });
    workers.push(worker);
    return worker;
  };
  const database = scope.use(await EmbeddedDatabase.open(join(dataFolder, "pglite"), { startWorker }));
  const pool = new Pool({ Client: embeddedClient(database), max: 1 });
  pool.on("error", () => undefined);
  scope.add(() => pool.end());
  return { database, pool, workers };
}

test("the event loop keeps running during a long statement", async () => {
  await using scope = new Scope();
  const { pool } = await openDatabase(scope);
  let isAnswered = false;
  const asked = pool.query<{ n: number }>(LONG).finally(() => {
    isAnswered = true;
  });
  let turns = 0;
  for (; !isAnswered; turns++) await nextTurn();
  expect((await asked).rows).toEqual([{ n: 2_000_000 }]);
  expect(turns).toBeGreaterThan(100);
});

test("the end of the thread fails its running statement, and the next thread has all committed rows", async () => {
  await using scope = new Scope();
  const { pool, workers } = await openDatabase(scope);
  await pool.query("CREATE TABLE kept (n int)");
  await pool.query("INSERT INTO kept VALUES (1), (2)");
  const lost = pool.query(LONG);
  await Promise.all([
    expect(lost).rejects.toMatchObject({
      code: "57P02",
      message: "The thread of the embedded database has ended.",
    }),
    workers[0]?.terminate(),
  ]);
  expect((await pool.query("SELECT n FROM kept ORDER BY n")).rows).toEqual([{ n: 1 }, { n: 2 }]);
  expect(workers).toHaveLength(2);
});

test("concurrent callers that find the thread ended share one new thread", async () => {
  await using scope = new Scope();
  const { database, workers } = await openDatabase(scope);
  await workers[0]?.terminate();
  const sync = Buffer.from([0x53, 0, 0, 0, 4]);
  await Promise.all([database.execProtocolStream(sync), database.execProtocolStream(sync)]);
  expect(workers).toHaveLength(2);
});

test("a folder that PGlite cannot open is refused with PGlite's own error", async () => {
  await expect(EmbeddedDatabase.open("/proc/none/pglite")).rejects.toThrow(/ENOENT|no such file/i);
});

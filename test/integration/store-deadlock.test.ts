/** Two transactions that wait for each other: the server gives one up, and it is done again. */
import { PrismaPg } from "@prisma/adapter-pg";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { silentLog } from "../../src/observe/log.ts";
import { Database, type Tx } from "../../src/store/prisma/client/database.ts";
import { PrismaClient } from "../../src/store/prisma/generated/client.ts";
import { readMarks } from "../../src/store/prisma/marks.ts";
import { openStore } from "../../src/store/prisma/open.ts";
import { Scope } from "../../src/util/scope.ts";
import { createDatabase } from "../harness/servers/shared-postgres.ts";

test("transactions that deadlock both complete exactly once", async () => {
  await using scope = new Scope();
  const databaseUrl = await createDatabase();
  scope.use(
    await openStore({ databaseUrl, dataFolder: "", log: silentLog, poolMax: 1, statementTimeoutMs: 30_000 }),
  );
  const pool = new Pool({ connectionString: databaseUrl, max: 2, options: "-c deadlock_timeout=50ms" });
  // The server may end a connection that is being closed.
  pool.on("error", () => undefined);
  scope.add(() => pool.end());
  const client = new PrismaClient({ adapter: new PrismaPg(pool) });
  scope.add(() => client.$disconnect());
  const connection = { isExhausted: () => false, acquireTimeoutMs: 10_000 };
  const db = new Database({ client, connection, waitMs: 30_000, readMarks });
  await client.meta.createMany({ data: ["a", "b"].map((key) => ({ key, value: "" })) });

  const { promise: met, resolve: bothHoldOne } = Promise.withResolvers<void>();
  let begun = 0;
  let held = 0;
  const cross = (first: string, second: string) =>
    db.transaction(async (tx) => {
      begun += 1;
      await append(tx, first);
      held += 1;
      if (held >= 2) bothHoldOne();
      await met;
      await append(tx, second);
    });
  await Promise.all([cross("a", "b"), cross("b", "a")]);
  // On a busy machine the one that was given up may take its row before the other one wakes, and they meet again.
  expect(begun).toBeGreaterThanOrEqual(3);
  expect(await client.meta.findMany({ where: { key: { in: ["a", "b"] } } })).toMatchObject([
    { value: "x x " },
    { value: "x x " },
  ]);
});

async function append(tx: Tx, key: string): Promise<void> {
  await tx.$executeRaw`UPDATE berth_meta SET value = value || 'x ' WHERE key = ${key}`;
}

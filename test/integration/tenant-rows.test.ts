/** Tenants on the rows of an earlier release, and while others write them. */

import { Client } from "pg";
import { describe, expect, test } from "vitest";
import type { Actor } from "../../src/domain/audit.ts";
import { SCOPES } from "../../src/domain/scope.ts";
import { eventually } from "../harness/clients/client.ts";
import { connectAsOther } from "../harness/rigs/other-program.ts";
import { DATABASES, type TestDatabase } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";

const BY: Actor = { keyId: "admin", keyName: "admin", requestId: "request-1" };

describe.each(DATABASES)("rows of an earlier release on $name", ({ create }) => {
  test("list their tenants, and give their keys every scope", async () => {
    await using database = await create();
    const [keyed, uploading] = [aTenant(), aTenant()];
    {
      await using store = await database.open();
      await store.keys.create({ name: "k", hint: "h", hash: "1", tenantId: keyed });
      await store.packages.put(aPackage(), { tenantId: uploading });
    }
    await makeEarlier(database);
    await using store = await database.open();
    expect(await store.keys.list()).toMatchObject([{ scopes: SCOPES, expiresAt: undefined }]);
    const { items } = await store.tenants.list({ limit: 10 });
    expect(items.map(({ id, keys, packages }) => [id, keys, packages])).toEqual([
      [uploading, 0, 1],
      [keyed, 1, 0],
    ]);
  });

  /** As if this release's migration had not run yet. */
  async function makeEarlier(database: TestDatabase): Promise<void> {
    await using other = await connectAsOther(database);
    for (const sql of [
      "DROP TABLE berth_tenants, berth_events",
      "ALTER TABLE berth_keys DROP COLUMN scopes, DROP COLUMN expires_at, DROP COLUMN last_used_at",
      "DROP INDEX berth_keys_tenant_id_idx, berth_keys_created_at_id_idx, berth_pools_tenant_id_idx",
      // also those that add columns to the tables
      "DELETE FROM _prisma_migrations WHERE migration_name = '20261122000001_tenants_keys_audit' OR migration_name LIKE '%\\_tenant\\_%'",
    ])
      await other.run(sql);
  }
});

describe("on a server with many connections", () => {
  test("a removal waits for an install that is being accepted, and removes it too", async () => {
    await using database = await DATABASES[1].create();
    await using store = await database.open();
    const tenantId = aTenant();
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    await using other = await connect(database);
    // the install's transaction stops half-way, at an idempotency key that another one is about to write
    const idempotency = { holder: "h", key: "k", requestHash: "one" };
    await other.client.query("BEGIN");
    await other.client.query(
      "INSERT INTO berth_idempotency (holder, key, request_hash) VALUES ('h', 'k', 'one')",
    );
    const install = store.installations.acceptInstall(anInstall(pkg, tenantId, { idempotency }));
    await waiting(other.client, 1);
    let isRemoved = false;
    const removal = store.tenants.acceptRemoval(tenantId, BY).finally(() => {
      isRemoved = true;
    });
    await Promise.race([removal, waiting(other.client, 2)]);
    expect(isRemoved).toBe(false);
    await other.client.query("ROLLBACK");
    const { installation } = await install;
    await removal;
    expect(await store.installations.find(installation.id)).toMatchObject({ state: "removing" });
  });

  async function connect({ databaseUrl = "" }: TestDatabase) {
    const client = new Client({ connectionString: databaseUrl });
    await client.connect();
    return { client, [Symbol.asyncDispose]: () => client.end() };
  }

  /** Resolves when so many wait for a lock. */
  async function waiting(client: Client, count: number): Promise<void> {
    await eventually(async () => {
      // not of pg_stat_activity: a transaction sees that as it was at its first look
      const { rows } = await client.query("SELECT DISTINCT pid FROM pg_locks WHERE NOT granted");
      return rows.length >= count ? true : undefined;
    }, 10_000);
  }
});

import { Client } from "pg";
import { expect, it } from "vitest";
import { TenantId } from "../../src/domain/ids.ts";
import { DATABASES } from "../harness/rigs/stores.ts";

const [tenantId, other] = [TenantId.parse(crypto.randomUUID()), TenantId.parse(crypto.randomUUID())];

it.each(DATABASES)(
  "the size of plugin storage is counted in the daemon's table on $name",
  async ({ name, create }) => {
    await using database = await create();
    await using store = await database.open();
    for (const bytes of [5, 7_000_000_000])
      await store.storageSizes.set({ tenantId, pluginId: "acme/a", bytes });
    await store.storageSizes.set({ tenantId, pluginId: "acme/b", bytes: 0 });
    await store.storageSizes.set({ tenantId: other, pluginId: "acme/a", bytes: 1 });
    const rows = async () => {
      if (name === "pglite") return undefined;
      const client = new Client({ connectionString: database.databaseUrl });
      await client.connect();
      const { rows: found } = await client.query<{ row: string }>(
        "SELECT concat_ws(' ', tenant_id, plugin_id, size) AS row FROM tenant_storages ORDER BY size",
      );
      await client.end();
      return found.map(({ row }) => row);
    };
    if (name !== "pglite")
      expect(await rows()).toEqual([
        `${tenantId} acme/b 0`,
        `${other} acme/a 1`,
        `${tenantId} acme/a 7000000000`,
      ]);
    await store.storageSizes.remove({ tenantId, pluginId: "acme/b" });
    await store.storageSizes.remove({ tenantId });
    await store.storageSizes.remove({ tenantId });
    if (name !== "pglite") expect(await rows()).toEqual([`${other} acme/a 1`]);
  },
);

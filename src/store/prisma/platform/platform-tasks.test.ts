import { expect, test } from "vitest";
import { TENANT } from "../../../../test/harness/samples/callers.ts";
import type * as rows from "../generated/client.ts";
import { shown } from "./platform-tasks.ts";

const ID = "01a22f5c-f59b-7d7a-85f3-82f1ba947816";

function aRow(status: string): rows.InstallTask {
  const times = { createdAt: new Date(0), updatedAt: new Date(0) };
  return {
    id: ID,
    ...times,
    status,
    tenantId: TENANT,
    totalPlugins: 1n,
    completedPlugins: 0n,
    plugins: "[]",
  };
}

/** `left`: what stands in the table after the works were asked for, of which there are none. */
function aDatabase(left: readonly rows.InstallTask[]) {
  const client = { $queryRaw: async () => [], installTask: { findMany: async () => left } };
  return client as unknown as Parameters<typeof shown>[0];
}

test("a batch that ends between the reads of its row and of its work shows its end", async () => {
  expect(await shown(aDatabase([aRow("success")]), [aRow("running")])).toMatchObject([{ status: "success" }]);
});

test("a batch that is removed between the two reads shows what was read", async () => {
  expect(await shown(aDatabase([]), [aRow("running")])).toMatchObject([{ status: "running" }]);
});

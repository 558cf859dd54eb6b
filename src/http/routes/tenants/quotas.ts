import { z } from "zod";
import type { TenantId } from "../../../domain/ids.ts";
import { quotasInForce, type TenantQuotas } from "../../../domain/tenant-quotas.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";

const upTo = (max: number) => z.int().min(0).max(max).nullable();
const Quotas = z.object({
  installations: upTo(2_147_483_647).meta({ description: "Installations in any state" }),
  memory_bytes: upTo(1_125_899_906_842_624).meta({
    description: "Memory that its running plugins reserve together",
  }),
  disk_bytes: upTo(1_125_899_906_842_624).meta({
    description: "Its plugins' stored data, and the archives of packages that it uploaded",
  }),
  calls: upTo(2_147_483_647).meta({ description: "Calls of all its plugins that run or wait" }),
});
// The two quotas of later releases may be left out: older clients then do not change them.
const Wanted = z
  .strictObject({ ...Quotas.shape, ...Quotas.pick({ disk_bytes: true, calls: true }).partial().shape })
  .meta({ description: "null: the operator's setting for all tenants" });
const Shown = z.object({
  quotas: Quotas.meta({ description: "Set for this tenant" }),
  in_force: Quotas.meta({
    description: "The quotas that apply, with the operator's settings; null: unlimited",
  }),
  usage: z.object({
    installations: z.int(),
    memory_bytes: z.int(),
    disk_bytes: z.int(),
    calls: z.int().meta({ description: "In the process that answers this request" }),
  }),
});
const answers = {
  200: { description: "Quotas and what counts against them", content: { "application/json": Shown } },
};

export interface TenantQuotasDeps {
  readonly store: Pick<Store, "tenants">;
  readonly invoker: Pick<Invoker, "callsOf" | "refresh">;
}

export function addTenantQuotas(routes: Routes, { store: { tenants }, invoker }: TenantQuotasDeps): void {
  const path = "/v1/tenants/{tenant}/quotas";
  const answer = async (tenant: TenantId) => {
    const { quotas, usage } = await tenants.quotas(tenant);
    return Response.json({
      quotas: quotasJson(quotas),
      in_force: quotasJson(quotasInForce(quotas, tenants.defaultQuotas)),
      usage: {
        installations: usage.installations,
        memory_bytes: usage.memoryBytes,
        disk_bytes: usage.diskBytes,
        calls: invoker.callsOf(tenant),
      },
    });
  };
  routes.add(
    {
      name: "getQuotas",
      method: "get",
      path,
      tag: "tenants",
      summary: "Returns a tenant's quotas and its usage.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      answers,
    },
    async ({ params: { tenant } }) => await answer(tenant),
  );
  routes.add(
    {
      name: "setQuotas",
      method: "put",
      path,
      tag: "tenants",
      summary: "Sets a tenant's quotas.",
      access: { opens: "operator", scope: "installations:write" },
      params: TenantParams,
      body: Wanted,
      answers,
      faults: ["invalid_json", "unsupported_media_type", "conflict"],
    },
    async ({ params: { tenant }, body, by }) => {
      const { installations, memory_bytes: memory, disk_bytes: disk, calls } = body;
      const changes = {
        installationsMax: installations ?? undefined,
        memoryBytesMax: memory ?? undefined,
        ...(disk === undefined ? {} : { diskBytesMax: disk ?? undefined }),
        ...(calls === undefined ? {} : { callsMax: calls ?? undefined }),
      };
      await tenants.setQuotas(tenant, changes, by);
      // polling would see it too, but later
      await invoker.refresh();
      return await answer(tenant);
    },
  );
}

function quotasJson(quotas: TenantQuotas): z.input<typeof Quotas> {
  return {
    installations: quotas.installationsMax ?? null,
    memory_bytes: quotas.memoryBytesMax ?? null,
    disk_bytes: quotas.diskBytesMax ?? null,
    calls: quotas.callsMax ?? null,
  };
}

import { z } from "zod";
import { grantLimits, type LimitsPolicy } from "../../../domain/limits.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { limitsJson, PackageDetailSchema, type PlatformSettings, packageJson } from "../../schemas.ts";
import { visiblePackage } from "./visible.ts";

export function addGetPackage(
  routes: Routes,
  {
    store,
    limitsPolicy,
    settings: { platformVersion },
  }: {
    store: Pick<Store, "packages">;
    limitsPolicy: LimitsPolicy;
    settings: PlatformSettings;
  },
): void {
  routes.add(
    {
      method: "get",
      path: "/v1/packages/{identifier}",
      pattern: "/v1/packages/:identifier{.+}",
      tag: "packages",
      summary: "One package: declaration, dialect, warnings, and the limits that would be granted now.",
      access: { opens: "any", scope: "read" },
      params: z.object({ identifier: z.string().min(1).meta({ example: "author/name:0.0.1@<checksum>" }) }),
      answers: { 200: { description: "The package", content: { "application/json": PackageDetailSchema } } },
      faults: ["package_not_found"],
    },
    async ({ params: { identifier }, principal: { tenantId } }) => {
      const stored = await visiblePackage(store, identifier, tenantId);
      const { limits, notes } = grantLimits(stored.limitsAsked, limitsPolicy);
      return Response.json({
        ...packageJson(stored, platformVersion),
        declaration: stored.declaration,
        limits: limitsJson(limits),
        limits_notes: notes,
      });
    },
  );
}

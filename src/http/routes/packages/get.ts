import { z } from "zod";
import { Fault } from "../../../domain/fault.ts";
import { grantLimits, type LimitsPolicy } from "../../../domain/limits.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { limitsJson, PackageDetailSchema, packageJson } from "../../schemas.ts";

export function addGetPackage(
  routes: Routes,
  { store, limitsPolicy }: { store: Pick<Store, "packages">; limitsPolicy: LimitsPolicy },
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
      const stored = await store.packages.find(identifier);
      // a package of somebody else's is not told apart from one that is not there
      const isVisible =
        stored !== undefined &&
        (tenantId === undefined || (await store.packages.isVisibleTo(identifier, tenantId)));
      if (!isVisible) {
        throw new Fault("package_not_found", `There is no package ${identifier}.`, {
          details: {
            field: "identifier",
            value: identifier,
            accepted: "author/name:version@checksum of an upload",
          },
        });
      }
      const { limits, notes } = grantLimits(stored.limitsAsked, limitsPolicy);
      return Response.json({
        ...packageJson(stored),
        declaration: stored.declaration,
        limits: limitsJson(limits),
        limits_notes: notes,
      });
    },
  );
}

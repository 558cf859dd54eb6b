import { z } from "zod";
import { grantLimits, type LimitsPolicy } from "../../../domain/limits.ts";
import type { Trust } from "../../../installation/trust/trust.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { limitsJson, PackageDetailSchema, type PlatformSettings, packageJson } from "../../schemas.ts";
import { SignatureSchema, signatureJson } from "../trust/json.ts";
import { visiblePackage } from "./visible.ts";

const Answer = PackageDetailSchema.extend({ signatures: z.array(SignatureSchema) });

export function addGetPackage(
  routes: Routes,
  {
    store,
    limitsPolicy,
    trust,
    settings: { platformVersion },
  }: {
    store: Pick<Store, "packages">;
    limitsPolicy: LimitsPolicy;
    trust: Pick<Trust, "describe">;
    settings: PlatformSettings;
  },
): void {
  routes.add(
    {
      name: "getPackage",
      method: "get",
      path: "/v1/packages/{identifier}",
      pattern: "/v1/packages/:identifier{.+}",
      tag: "packages",
      summary: "Returns a package: declaration, dialect, warnings, and the limits that would be granted now.",
      access: { opens: "any", scope: "read" },
      params: z.object({ identifier: z.string().min(1).meta({ example: "author/name:0.0.1@<checksum>" }) }),
      answers: { 200: { description: "The package", content: { "application/json": Answer } } },
      faults: ["package_not_found"],
    },
    async ({ params: { identifier }, principal: { tenantId } }) => {
      const stored = await visiblePackage(store, identifier, tenantId);
      const { limits, notes } = grantLimits(stored.limitsAsked, limitsPolicy);
      const { signatures, warning } = await trust.describe(stored, tenantId);
      const json = packageJson(stored, platformVersion);
      return Response.json({
        ...json,
        warnings: [...json.warnings, ...(warning === undefined ? [] : [warning])],
        declaration: stored.declaration,
        limits: limitsJson(limits),
        limits_notes: notes,
        signatures: signatures.map(signatureJson),
      });
    },
  );
}

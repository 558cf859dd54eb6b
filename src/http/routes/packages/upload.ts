import { z } from "zod";
import type { PackageUploads } from "../../../installation/contracts.ts";
import type { InstallationChanges } from "../../../installation/requests/installation-changes.ts";
import { checkContentType } from "../../middleware/body.ts";
import type { Routes } from "../../route.ts";
import {
  limitsJson,
  PackageDetailSchema,
  type PlatformSettings,
  packageJson,
  TaskSchema,
  taskJson,
} from "../../schemas.ts";
import { TrustSchema, trustJson } from "../../trust-schema.ts";

const Query = z.strictObject({
  verifySignature: z
    .enum(["true", "false"])
    .default("false")
    .meta({ description: "`true` sets the signature policy to `require` for this upload" }),
  upgrade: z.enum(["true", "false"]).default("false").meta({
    description:
      "`true` upgrades every installation of an older version; with an operator's key those of all tenants",
  }),
});
const Uploaded = PackageDetailSchema.extend({
  trust: TrustSchema,
  upgrades: z.array(TaskSchema).meta({ description: "The upgrades that this upload started" }),
  upgrades_waiting: z
    .int()
    .meta({ description: "Installations that are upgraded after their current change" }),
});
const Answer = { "application/json": Uploaded };
const TYPES = ["application/octet-stream", "application/zip"];

interface UploadDeps {
  readonly uploads: PackageUploads;
  readonly changes: Pick<InstallationChanges, "due">;
  readonly settings: PlatformSettings;
}

export function addUploadPackage(
  routes: Routes,
  { uploads, changes, settings: { platformVersion } }: UploadDeps,
): void {
  routes.add(
    {
      name: "uploadPackage",
      method: "post",
      path: "/v1/packages",
      tag: "packages",
      summary: "Uploads a package: the archive is the body. Uploading the same bytes again answers 200.",
      access: { opens: "any", scope: "packages:write" },
      query: Query,
      rawBody: "application/octet-stream",
      answers: {
        200: { description: "Already stored", content: Answer },
        201: { description: "Stored", content: Answer },
      },
      faults: [
        "package_not_zip",
        "package_unsafe",
        "manifest_missing",
        "manifest_invalid",
        "identifier_too_long",
        "signature_required",
        "signature_wrong",
        "payload_too_large",
        "package_too_large",
        "unsupported_media_type",
      ],
    },
    async ({ request, query, header, principal: { tenantId }, by, signal }) => {
      checkContentType(header("content-type"), TYPES);
      const body: AsyncIterable<Uint8Array> = request.body ?? nothing();
      const uploaded = await uploads.receive(
        body,
        {
          by,
          verifySignature: query.verifySignature === "true",
          upgrade: query.upgrade === "true",
          ...(tenantId !== undefined && { tenantId }),
        },
        signal,
      );
      const { stored, limits, created, trust } = uploaded;
      const shown = packageJson(stored, platformVersion);
      const { warning } = trust;
      const upgrades = await changes.due(stored.identifier, tenantId);
      return Response.json(
        {
          ...shown,
          ...(warning !== undefined && { warnings: [...shown.warnings, warning] }),
          declaration: stored.declaration,
          limits: limitsJson(limits.limits),
          limits_notes: limits.notes,
          trust: trustJson(trust),
          upgrades: upgrades.accepted.map(({ task }) => taskJson(task)),
          upgrades_waiting: upgrades.waiting,
        },
        { status: created ? 201 : 200, headers: { location: `/v1/packages/${stored.identifier}` } },
      );
    },
  );
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // an upload without a body is an empty archive, and refused as such
}

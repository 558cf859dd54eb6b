import { z } from "zod";
import type { BundleUploads } from "../../../installation/packages/bundle-uploads.ts";
import type { Store } from "../../../store/store.ts";
import { checkContentType } from "../../middleware/body.ts";
import type { Routes } from "../../route.ts";
import { BundleDetailSchema, bundleDetailJson } from "./json.ts";

const TYPES = ["application/octet-stream", "application/zip"];
const Query = z.strictObject({ verifySignature: z.enum(["true", "false"]).optional() });

export function addUploadBundle(
  routes: Routes,
  { bundles, store }: { bundles: BundleUploads; store: Pick<Store, "packages"> },
): void {
  routes.add(
    {
      name: "uploadBundle",
      method: "post",
      path: "/v1/bundles",
      tag: "bundles",
      summary: "Uploads a bundle: the archive is the body. Stores the packages in it, all or none.",
      access: { opens: "any", scope: "packages:write" },
      query: Query,
      rawBody: "application/octet-stream",
      answers: {
        200: { description: "Already stored", content: { "application/json": BundleDetailSchema } },
        201: { description: "Stored", content: { "application/json": BundleDetailSchema } },
      },
      faults: [
        "invalid_input",
        "package_not_zip",
        "package_unsafe",
        "manifest_missing",
        "manifest_invalid",
        "identifier_too_long",
        "payload_too_large",
        "package_too_large",
        "unsupported_media_type",
        "signature_required",
        "signature_wrong",
      ],
    },
    async ({ request, header, query, principal: { tenantId }, by, signal }) => {
      checkContentType(header("content-type"), TYPES);
      const body: AsyncIterable<Uint8Array> = request.body ?? nothing();
      const uploader = {
        by,
        verifySignature: query.verifySignature === "true",
        ...(tenantId !== undefined && { tenantId }),
      };
      const { stored, created } = await bundles.receive(body, uploader, signal);
      return Response.json(await bundleDetailJson(stored, store), {
        status: created ? 201 : 200,
        headers: { location: `/v1/bundles/${stored.identifier}` },
      });
    },
  );
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // an upload without a body is an empty archive, and refused as such
}

import { z } from "zod";
import { checkContentType } from "../../middleware/body.ts";
import type { Routes } from "../../route.ts";
import type { TransferRouteDeps } from "./export.ts";

const TYPES = ["application/octet-stream", "application/x-tar"];

const ImportedSchema = z.object({ identifier: z.string(), arch: z.string(), image_key: z.string() });

export function addImportPackage(routes: Routes, { transfers, settings }: TransferRouteDeps): void {
  routes.add(
    {
      name: "importPackage",
      method: "post",
      path: "/v1/imports",
      tag: "packages",
      summary: "Imports a file of `/v1/exports`: checks all of it, then stores the package and its image.",
      access: { opens: "operator", scope: "packages:write" },
      answerTimeoutMs: settings.transferTimeoutMs,
      rawBody: "application/x-tar",
      answers: {
        200: {
          description: "Already imported",
          content: { "application/json": ImportedSchema },
        },
        201: { description: "Imported", content: { "application/json": ImportedSchema } },
      },
      faults: [
        "export_invalid",
        "payload_too_large",
        "arch_not_supported",
        "signature_required",
        "signature_wrong",
        "engine_elsewhere",
        "unsupported_media_type",
      ],
    },
    async ({ request, header, by, signal }) => {
      checkContentType(header("content-type"), TYPES);
      const body: AsyncIterable<Uint8Array> = request.body ?? nothing();
      const { stored, arch, imageKey, created } = await transfers.import(body, { by }, signal);
      return Response.json(
        { identifier: stored.identifier, arch, image_key: imageKey },
        { status: created ? 201 : 200, headers: { location: `/v1/packages/${stored.identifier}` } },
      );
    },
  );
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // an import without a body is an empty file, and refused as such
}

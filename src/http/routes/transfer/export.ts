import { Readable } from "node:stream";
import { z } from "zod";
import type { PackageTransfers } from "../../../installation/transfer/contracts.ts";
import type { Routes } from "../../route.ts";

export interface TransferRouteDeps {
  readonly transfers: PackageTransfers;
  readonly settings: { readonly transferTimeoutMs: number };
}

export function addExportPackage(routes: Routes, { transfers, settings }: TransferRouteDeps): void {
  routes.add(
    {
      name: "exportPackage",
      method: "get",
      path: "/v1/exports/{identifier}",
      pattern: "/v1/exports/:identifier{.+}",
      tag: "packages",
      summary:
        "Exports a package as one file, for an install without a network: archive, signatures, declaration, image.",
      access: { opens: "operator", scope: "read" },
      answerTimeoutMs: settings.transferTimeoutMs,
      params: z.object({ identifier: z.string().min(1).meta({ example: "author/name:0.0.1@<checksum>" }) }),
      answers: { 200: { description: "The file", content: { "application/x-tar": z.string() } } },
      faults: ["package_not_found", "conflict", "engine_elsewhere"],
    },
    async ({ params: { identifier }, signal }) => {
      const { name, bytes, content, ...exported } = await transfers.export(identifier, signal);
      content.once(
        "close",
        () => void Promise.resolve(exported[Symbol.asyncDispose]()).catch(() => undefined),
      );
      return new Response(Readable.toWeb(content) as ReadableStream<Uint8Array>, {
        headers: {
          "content-type": "application/x-tar",
          "content-length": String(bytes),
          "content-disposition": `attachment; filename="${name}"`,
        },
      });
    },
  );
}

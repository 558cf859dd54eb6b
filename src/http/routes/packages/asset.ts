import { Readable } from "node:stream";
import { z } from "zod";
import type { Routes } from "../../route.ts";
import { type PackageTextRouteDeps, textNotFound } from "./texts.ts";
import { visiblePackage } from "./visible.ts";

const TYPES: Readonly<Record<string, string>> = {
  gif: "image/gif",
  ico: "image/x-icon",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  png: "image/png",
  svg: "image/svg+xml",
  webp: "image/webp",
};

const Params = z.object({
  identifier: z.string().min(1).meta({ example: "author/name:0.0.1@<checksum>" }),
  name: z
    .string()
    .min(1)
    .meta({ description: "The name of an icon in the declaration, or the path below `_assets/`" }),
});

/** The package's author made these bytes: a browser shows them, and runs nothing that they contain. */
const HEADERS = {
  "cache-control": "private, max-age=31536000, immutable",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  "x-content-type-options": "nosniff",
};

export function addPackageAsset(routes: Routes, { store, texts }: PackageTextRouteDeps): void {
  routes.add(
    {
      name: "getPackageAsset",
      method: "get",
      path: "/v1/packages/{identifier}/assets/{name}",
      pattern: "/v1/packages/:identifier{[^/]+/[^/]+}/assets/:name{.+}",
      tag: "packages",
      summary: "Returns an icon or another file from a package's `_assets`, unchanged.",
      access: { opens: "any", scope: "read" },
      params: Params,
      answers: { 200: { description: "The bytes", content: { "application/octet-stream": z.string() } } },
      faults: ["package_not_found", "text_not_found"],
    },
    async ({ params: { identifier, name }, principal: { tenantId }, signal }) => {
      const stored = await visiblePackage(store, identifier, tenantId);
      const asset = await texts.asset(stored, name, signal);
      if (asset === undefined) throw textNotFound(identifier, `_assets/${name}`);
      const extension = /\.([^./]+)$/.exec(asset.name)?.[1]?.toLowerCase() ?? "";
      const headers = {
        ...HEADERS,
        "content-type": TYPES[extension] ?? "application/octet-stream",
        "content-length": String(asset.bytes),
      };
      return new Response(Readable.toWeb(asset.content), { headers });
    },
  );
}

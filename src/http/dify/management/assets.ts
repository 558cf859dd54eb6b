/** Files of packages. A missing file is an empty answer: clients take any other answer for a failure. */
import { Readable } from "node:stream";
import type { PackageAssets } from "../../../installation/packages/package-assets.ts";
import type { PackageTexts } from "../../../installation/packages/package-texts.ts";
import type { DifyDoor } from "../door.ts";
import { refusal } from "../errors.ts";
import { isIdentifier } from "../inputs.ts";
import { needed, struct, text } from "../wire/shape.ts";
import { causeText } from "./packages.ts";

const AssetInput = struct({ id: needed(text) });
const ExtractInput = struct({
  plugin_unique_identifier: needed(text, isIdentifier),
  file_path: needed(text),
});

interface AssetDeps {
  readonly assets: PackageAssets;
  readonly texts: Pick<PackageTexts, "asset">;
}

export function addAssets(door: DifyDoor, { assets, texts }: AssetDeps): void {
  const route = { method: "GET", gate: "key", errorStatus: 500 } as const;
  door.add({ ...route, path: "/plugin/:tenant_id/asset/:id", input: AssetInput }, async ({ input, signal }) =>
    bytesResponse(await assets.find(input.id, signal)),
  );
  door.add(
    { ...route, path: "/plugin/:tenant_id/extract-asset/", input: ExtractInput },
    async ({ input, signal }) => {
      const pkg = { identifier: input.plugin_unique_identifier };
      const asset = await texts.asset(pkg, input.file_path, signal).catch((error: unknown) => {
        throw refusal("PluginDaemonInternalServerError", causeText(error));
      });
      if (asset === undefined) return bytesResponse(undefined);
      return new Response(Readable.toWeb(asset.content), {
        headers: { ...HEADERS, "content-length": String(asset.bytes) },
      });
    },
  );
}

/** The package's author made these bytes: browsers must not guess their type. */
const HEADERS = { "content-type": "application/octet-stream", "x-content-type-options": "nosniff" };

function bytesResponse(bytes: Uint8Array | undefined): Response {
  return new Response(bytes === undefined ? "" : new Uint8Array(bytes), { headers: HEADERS });
}

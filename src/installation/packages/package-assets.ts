/**
 * Icons by the ids under which declarations show them. The storage has them under these ids, as dify-plugin-daemon does;
 * a missing one is read once from a package that shows it, and stored.
 */
import { buffer } from "node:stream/consumers";
import type { FileStore } from "../../storage/file-store.ts";
import type { Store } from "../../store/store.ts";
import type { PackageTexts } from "./package-texts.ts";

export interface PackageAssetsDeps {
  readonly files: Pick<FileStore, "read" | "write">;
  /** Folder in `files`. */
  readonly folder: string;
  readonly store: Pick<Store, "platform">;
  readonly texts: Pick<PackageTexts, "asset">;
}

export interface PackageAssets {
  /** Undefined where neither the storage nor a package has it. */
  find(id: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
}

/** SHA-256 in hex and the extension of the file's name. */
const ASSET_ID = /^[0-9a-f]{64}(\.[\w.-]{0,64})?$/;

export function createPackageAssets({ files, folder, store, texts }: PackageAssetsDeps): PackageAssets {
  return {
    find: async (id, signal) => {
      if (!ASSET_ID.test(id)) return undefined;
      const kept = await files.read(`${folder}/${id}`);
      if (kept !== undefined) return kept;
      for (const identifier of await store.platform.identifiersShowing(id)) {
        const asset = await texts.asset({ identifier }, id, signal).catch(() => undefined);
        if (asset === undefined) continue;
        const bytes = await buffer(asset.content);
        await files.write(`${folder}/${id}`, bytes);
        return bytes;
      }
      return undefined;
    },
  };
}

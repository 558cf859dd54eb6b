import type { DeclarationJson } from "../../domain/package.ts";
import type { SignatureCategory } from "../../domain/trust.ts";
import type { PackageReader } from "../../packages/package-reader.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import type { Store } from "../../store/store.ts";
import { type Trust, withVerdict } from "../trust/trust.ts";

export interface PackageDecoderDeps {
  readonly packages: Pick<PackageStore, "open">;
  readonly reader: Pick<PackageReader, "decode">;
  readonly store: Pick<Store, "packages">;
  readonly trust: Pick<Trust, "judge">;
}

export interface DecodedPackage {
  readonly identifier: string;
  /** With icons under their names in the package. */
  readonly declaration: DeclarationJson;
  readonly isVerified: boolean;
  readonly category: SignatureCategory | undefined;
}

export interface PackageDecoder {
  /**
   * Reads a stored archive again, and answers its declaration and its signature, whatever the policy. Throws what opening
   * and reading an archive throw.
   */
  decode(identifier: string, signal: AbortSignal): Promise<DecodedPackage>;
}

export function createPackageDecoder({ packages, reader, store, trust }: PackageDecoderDeps): PackageDecoder {
  return {
    decode: async (identifier, signal) => {
      await using opened = await packages.open(identifier, signal);
      // A manifest without a time of its own got that of its upload.
      const uploadedAt = (await store.packages.find(identifier))?.createdAt ?? new Date(0);
      const read = await reader.decode(opened.path, uploadedAt, signal);
      const judged = await trust.judge(read);
      const { declaration } = withVerdict(read, judged);
      const isVerified = judged.verdict === "verified";
      return { identifier, declaration, isVerified, category: isVerified ? judged.category : undefined };
    },
  };
}

import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { openArchive } from "../../packages/archive/archive.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import {
  chooseReadme,
  findAsset,
  type Privacy,
  readPrivacy,
  readReadmes,
} from "../../packages/package-texts.ts";
import type { ReadPackageOptions } from "../../packages/read-package.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { Store } from "../../store/store.ts";

export interface PackageTextsDeps {
  readonly packages: PackageStore;
  readonly store: Pick<Store, "readmes">;
  readonly archives: ReadPackageOptions;
}

/** Each answers undefined where the package does not have the text, and throws what opening a stored archive throws. */
export interface PackageTexts {
  /** By the id that a declaration shows, or by its file name. The caller must read the content to its end, or destroy it. */
  asset(pkg: NamedPackage, name: string, signal: AbortSignal): Promise<PackageAsset | undefined>;
  readme(pkg: NamedPackage, language: string, signal: AbortSignal): Promise<Readme | undefined>;
  privacy(pkg: StoredPackage, signal: AbortSignal): Promise<Privacy | undefined>;
}

export type NamedPackage = Pick<StoredPackage, "identifier">;

export interface PackageAsset {
  /** Below `_assets/`. */
  readonly name: string;
  readonly bytes: number;
  readonly content: Readable;
}

export interface Readme {
  readonly language: string;
  readonly content: string;
  /** All languages of the package's readmes. */
  readonly languages: readonly string[];
}

export function createPackageTexts(deps: PackageTextsDeps): PackageTexts {
  return {
    asset: (pkg, name, signal) => openAsset(deps, { pkg, name, signal }),
    readme: async (pkg, language, signal) => {
      const readmes = await readmesOf(deps, pkg, signal);
      const chosen = chooseReadme(readmes, language);
      return chosen === undefined ? undefined : { ...chosen, languages: [...readmes.keys()].sort() };
    },
    privacy: async (pkg, signal) => {
      await using opened = await deps.packages.open(pkg.identifier, signal);
      await using archive = await openArchive(opened.path, deps.archives);
      return await readPrivacy(archive, pkg.declaration["privacy"]);
    },
  };
}

async function readmesOf(
  { packages, store, archives }: PackageTextsDeps,
  { identifier }: NamedPackage,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const kept = await store.readmes.find(identifier);
  if (kept.size > 0) return kept;
  await using opened = await packages.open(identifier, signal);
  await using archive = await openArchive(opened.path, archives);
  const read = await readReadmes(archive);
  if (read.size > 0) await store.readmes.put(identifier, read);
  return read;
}

async function openAsset(
  { packages, archives }: PackageTextsDeps,
  { pkg, name, signal }: { readonly pkg: NamedPackage; readonly name: string; readonly signal: AbortSignal },
): Promise<PackageAsset | undefined> {
  await using opening = new AsyncDisposableStack();
  const opened = opening.use(await packages.open(pkg.identifier, signal));
  const archive = opening.use(await openArchive(opened.path, archives));
  const path = await findAsset(archive, name);
  if (path === undefined) return undefined;
  const content = archive.stream(path);
  const open = opening.move();
  const close = () => open.disposeAsync();
  void finished(content, { cleanup: true }).then(close, close);
  return { name: path.slice("_assets/".length), bytes: archive.bytesOf(path), content };
}

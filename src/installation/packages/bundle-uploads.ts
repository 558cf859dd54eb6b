import type { Actor } from "../../domain/audit.ts";
import type { Bundle } from "../../domain/bundle.ts";
import type { PluginDependency } from "../../domain/dependency.ts";
import { Fault, isFault, toFault } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Log } from "../../observe/log.ts";
import { type Archive, type ArchiveLimits, openArchive } from "../../packages/archive/archive.ts";
import type { ListedDependency } from "../../packages/bundle/listed-dependency.ts";
import type { ReadBundle } from "../../packages/bundle/read-bundle.ts";
import type { PackageReader } from "../../packages/package-reader.ts";
import type { PackageStore, StagedFile } from "../../packages/package-store.ts";
import type { ReadPackage, ReadPackageOptions } from "../../packages/read-package.ts";
import type { StoredBundle } from "../../store/contracts/bundles.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { type Trust, withVerdict } from "../trust/trust.ts";
import { type PackageKeeper, writeStaged } from "./package-keeper.ts";

export interface BundleUploads {
  /**
   * Takes one bundle: reads, checks and judges every package in it as if it were uploaded alone, then stores all or none.
   * Throws `payload_too_large`, `package_*`, `manifest_*`, `identifier_too_long`, `checksum_mismatch`, `signature_*`, and
   * leaves nothing behind then.
   */
  receive(
    body: AsyncIterable<Uint8Array>,
    uploader: BundleUploader,
    signal: AbortSignal,
  ): Promise<UploadedBundle>;
}

export interface BundleUploader {
  readonly tenantId?: TenantId;
  readonly by?: Actor;
  /** True makes the policy `require` for this bundle's packages. Read after the end of the body. */
  readonly verifySignature?: boolean;
  /** See `TrustRequest`. */
  readonly isVendorHeld?: boolean;
}

export interface UploadedBundle {
  /** False where the same bytes were already stored. */
  readonly created: boolean;
  readonly stored: StoredBundle;
}

export interface BundleUploadsOptions {
  readonly packages: PackageStore;
  readonly store: Pick<Store, "bundles">;
  readonly keeper: PackageKeeper;
  readonly reader: PackageReader;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: BundleSettings;
}

export interface BundleSettings {
  /** Bounds of the bundle and of each package in it. */
  readonly archives: ReadPackageOptions;
  /** Maximum size of the bundle's file. */
  readonly bytesMax: number;
  /** Processor time that reading the bundle itself may take; each package has its own limit. */
  readonly cpuMsMax: number;
}

interface Unpacked {
  readonly staged: StagedFile;
  readonly pkg: ReadPackage;
}

export function createBundleUploads(options: BundleUploadsOptions): BundleUploads {
  return {
    receive: async (body, uploader, signal) => {
      const { clock, log } = options;
      const startedAt = clock.now();
      const fields = { op: "bundle.upload", tenant_id: uploader.tenantId };
      try {
        const uploaded = await receive(options, { body, uploader, signal });
        const { identifier, dependencies } = uploaded.stored;
        const duration = { duration_ms: clock.now() - startedAt };
        const { created } = uploaded;
        log.info({
          ...fields,
          ok: true,
          ...duration,
          identifier,
          created,
          dependencies: dependencies.length,
        });
        return uploaded;
      } catch (failure) {
        const { code, rule } = toFault(failure);
        const err = isFault(failure) ? failure.message : failure;
        log[rule.log]({ ...fields, ok: false, duration_ms: clock.now() - startedAt, code, err });
        throw failure;
      }
    },
  };
}

async function receive(
  options: BundleUploadsOptions,
  request: { body: AsyncIterable<Uint8Array>; uploader: BundleUploader; signal: AbortSignal },
): Promise<UploadedBundle> {
  const { packages, store, keeper, reader, trust, settings } = options;
  const { uploader, signal } = request;
  await using stack = new AsyncDisposableStack();
  const stage = async () => stack.use(await packages.stage());
  const file = await stage();
  await writeStaged(file, request.body, { what: "bundle", bytesMax: settings.bytesMax, signal });
  const read = await reader.readBundle(file.path, settings, signal);
  const unpacked = await unpack(options, { read, path: file.path, stage, signal });
  const { tenantId, verifySignature = false, isVendorHeld = false } = uploader;
  const asked = { tenantId, verifySignature, isVendorHeld, from: "upload" } as const;
  const kept: Unpacked[] = [];
  // All are judged before the first is stored.
  for (const { staged, pkg } of unpacked.values())
    kept.push({ staged, pkg: withVerdict(pkg, await trust.decide({ read: pkg, ...asked })) });
  const bundle: Bundle = {
    ...read,
    dependencies: read.dependencies.map((listed) => identify(listed, unpacked)),
    warnings: [...read.warnings, ...pathWarnings(read, unpacked)],
  };
  const uploaded = await keeper.keep(
    kept.map(({ staged, pkg }) => ({ staged, identifier: pkg.identifier })),
    () => store.bundles.put({ bundle, packages: kept.map(({ pkg }) => pkg) }, uploader),
  );
  for (const { pkg } of kept) await trust.keepSignature(pkg, uploader.by);
  return uploaded;
}

/** The packages by their path in the bundle, each copied to a file of its own and read. */
async function unpack(
  { reader, clock, settings }: BundleUploadsOptions,
  from: { read: ReadBundle; path: string; stage: () => Promise<StagedFile>; signal: AbortSignal },
): Promise<ReadonlyMap<string, Unpacked>> {
  const { read, path, stage, signal } = from;
  await using archive = await openArchive(path, settings.archives);
  const unpacked = new Map<string, Unpacked>();
  for (const listed of read.dependencies) {
    if (listed.type !== "package" || unpacked.has(listed.path)) continue;
    const staged = await stage();
    try {
      await copyEntry(archive, `_assets/${listed.path}`, { staged, limits: settings.archives, signal });
      const pkg = await reader.read(staged.path, new Date(clock.now()), signal);
      unpacked.set(listed.path, { staged, pkg });
    } catch (error) {
      throw inPackage(listed.path, error);
    }
  }
  return unpacked;
}

/** The Fault of a package in the bundle, with the package's path. */
function inPackage(path: string, error: unknown): unknown {
  if (!isFault(error)) return error;
  const { code, message, details, context, cause } = error;
  return new Fault(code, message, { details: { ...details, package: path }, context, cause });
}

async function copyEntry(
  archive: Archive,
  path: string,
  to: { staged: StagedFile; limits: ArchiveLimits; signal: AbortSignal },
): Promise<void> {
  const { staged, limits, signal } = to;
  await writeStaged(staged, archive.stream(path), {
    what: `bundle's file ${path}`,
    bytesMax: limits.entryBytesMax,
    signal,
  });
}

/**
 * A bundle names a file as it likes. A name of 64 hex digits looks like the checksum of its package; one that is not is
 * accepted, with a warning.
 */
function pathWarnings({ dependencies }: ReadBundle, unpacked: ReadonlyMap<string, Unpacked>): string[] {
  return dependencies.flatMap((listed, index) => {
    const pkg = listed.type === "package" ? unpacked.get(listed.path)?.pkg : undefined;
    if (listed.type !== "package" || pkg === undefined) return [];
    if (listed.path === pkg.checksum || !/^[0-9a-f]{64}$/.test(listed.path)) return [];
    const field = `dependencies[${index}].value.path`;
    return [`manifest.yaml: ${field}: is ${listed.path}, which is not the checksum of ${pkg.identifier}`];
  });
}

function identify(listed: ListedDependency, unpacked: ReadonlyMap<string, Unpacked>): PluginDependency {
  if (listed.type !== "package") return listed;
  const found = unpacked.get(listed.path);
  if (found === undefined) throw new Error(`the bundle's file ${listed.path} was not read`);
  return { type: "package", identifier: found.pkg.identifier };
}

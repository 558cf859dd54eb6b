import { isFault, toFault } from "../../domain/fault.ts";
import { grantLimits, type LimitsPolicy } from "../../domain/limits.ts";
import type { Log } from "../../observe/log.ts";
import type { PackageReader } from "../../packages/package-reader.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import type { PackageUploads, UploadedPackage } from "../contracts.ts";
import { type Trust, withVerdict } from "../trust/trust.ts";
import { type PackageKeeper, writeStaged } from "./package-keeper.ts";

export interface PackageUploadsOptions {
  readonly packages: PackageStore;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: LimitsPolicy;
  readonly reader: PackageReader;
  readonly trust: Trust;
  readonly keeper: PackageKeeper;
  /** Maximum size of one archive. */
  readonly bytesMax: number;
}

export function createPackageUploads(options: PackageUploadsOptions): PackageUploads {
  return new Uploads(options);
}

type Uploader = Parameters<PackageUploads["receive"]>[1];

class Uploads implements PackageUploads {
  readonly #options: PackageUploadsOptions;

  constructor(options: PackageUploadsOptions) {
    this.#options = options;
  }

  async receive(
    body: AsyncIterable<Uint8Array>,
    uploader: Uploader,
    signal: AbortSignal,
  ): Promise<UploadedPackage> {
    const { clock, log, limits } = this.#options;
    const startedAt = clock.now();
    const fields = { op: "package.upload", tenant_id: uploader.tenantId };
    try {
      await using staged = await this.#options.packages.stage();
      const { bytesMax } = this.#options;
      const written = await writeStaged(staged, body, { what: "package", bytesMax, signal });
      const pkg = await this.#options.reader.read(staged.path, new Date(clock.now()), signal);
      signal.throwIfAborted();
      uploader.accepts?.(pkg);
      const { tenantId, verifySignature = false, isVendorHeld = false } = uploader;
      const trust = await this.#options.trust.decide({
        read: pkg,
        tenantId,
        verifySignature,
        isVendorHeld,
        from: "upload",
      });
      const { identifier } = pkg;
      const { created, stored } = await this.#options.keeper.keep([{ staged, identifier }], () =>
        this.#options.store.packages.put(withVerdict(pkg, trust), uploader),
      );
      await this.#options.trust.keepSignature(pkg, uploader.by);
      const granted = grantLimits(stored.limitsAsked, limits);
      log.info({
        ...fields,
        ok: true,
        duration_ms: clock.now() - startedAt,
        identifier,
        created,
        trust: trust.verdict,
        ...written,
      });
      return { created, stored, limits: granted, trust };
    } catch (failure) {
      const { code, rule } = toFault(failure);
      const err = isFault(failure) ? failure.message : failure;
      log[rule.log]({ ...fields, ok: false, duration_ms: clock.now() - startedAt, code, err });
      throw failure;
    }
  }
}

import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { Fault, isFault, toFault } from "../domain/fault.ts";
import { grantLimits, type LimitsPolicy } from "../domain/limits.ts";
import type { Package } from "../domain/package.ts";
import type { Log } from "../observe/log.ts";
import type { PackageReader } from "../packages/package-reader.ts";
import type { PackageStore, StagedFile } from "../packages/package-store.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import { KeyedLock } from "../util/keyed-lock.ts";
import type { PackageUploads, UploadedPackage } from "./contracts.ts";

export interface PackageUploadsOptions {
  readonly packages: PackageStore;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: LimitsPolicy;
  readonly reader: PackageReader;
  /** Of one archive. */
  readonly bytesMax: number;
}

export function createPackageUploads(options: PackageUploadsOptions): PackageUploads {
  return new Uploads(options);
}

type Uploader = Parameters<PackageUploads["receive"]>[1];

class Uploads implements PackageUploads {
  readonly #options: PackageUploadsOptions;
  /** By identifier: taking an archive back after a failure must not take that of another upload. */
  readonly #keeping = new KeyedLock<string>();

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
      const written = await this.#write(staged, body, signal);
      const pkg = await this.#options.reader.read(staged.path, new Date(clock.now()), signal);
      signal.throwIfAborted();
      const { created, stored } = await this.#keeping.run(pkg.identifier, () =>
        this.#keep(staged, pkg, uploader),
      );
      const granted = grantLimits(stored.limitsAsked, limits);
      const { identifier } = pkg;
      log.info({
        ...fields,
        ok: true,
        duration_ms: clock.now() - startedAt,
        identifier,
        created,
        ...written,
      });
      return { created, stored, limits: granted };
    } catch (failure) {
      const { code, rule } = toFault(failure);
      const err = isFault(failure) ? failure.message : failure;
      log[rule.log]({ ...fields, ok: false, duration_ms: clock.now() - startedAt, code, err });
      throw failure;
    }
  }

  /** Streams to disk, counting and hashing on the way. */
  async #write(
    staged: StagedFile,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ bytes: number; archive_sha256: string }> {
    const { bytesMax } = this.#options;
    const hash = createHash("sha256");
    let bytes = 0;
    await using file = await open(staged.path, "wx", 0o600);
    for await (const chunk of body) {
      signal.throwIfAborted();
      bytes += chunk.length;
      if (bytes > bytesMax) throw bodyTooLarge(bytes, bytesMax);
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    signal.throwIfAborted();
    return { bytes, archive_sha256: hash.digest("hex") };
  }

  /** The archive first, then its row: a row never names an archive that is not there. */
  async #keep(staged: StagedFile, pkg: Package, uploader: Uploader) {
    const { packages, store } = this.#options;
    const known = await store.packages.find(pkg.identifier);
    await packages.keep(staged, pkg.identifier);
    try {
      return await store.packages.put(pkg, uploader);
    } catch (failure) {
      if (known === undefined) await this.#takeBack(pkg.identifier);
      throw failure;
    }
  }

  /** Where the Store cannot say whether the row is there the archive stays: without a row nobody sees it. */
  async #takeBack(identifier: string): Promise<void> {
    const { packages, store } = this.#options;
    try {
      if ((await store.packages.find(identifier)) === undefined) await packages.remove(identifier);
    } catch {
      // The failure that led here is the one to report.
    }
  }
}

function bodyTooLarge(bytes: number, bytesMax: number): Fault {
  return new Fault("payload_too_large", `The package has more than ${bytesMax} bytes.`, {
    details: { field: "body", value: `${bytes} bytes or more`, accepted: `at most ${bytesMax} bytes` },
  });
}

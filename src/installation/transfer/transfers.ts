import { Fault, toFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import type { PackageTransfers } from "./contracts.ts";
import { type ExportDeps, exportPackage } from "./export-package.ts";
import { type ImportDeps, importPackage } from "./import-package.ts";

export interface PackageTransfersDeps extends ExportDeps, ImportDeps {
  readonly log: Log;
}

export function createPackageTransfers(deps: PackageTransfersDeps): PackageTransfers {
  return {
    export: (identifier, signal) =>
      logged(deps, { op: "package.export", identifier }, () => exportPackage(deps, identifier, signal)),
    import: (body, options, signal) =>
      logged(deps, { op: "package.import" }, () => importPackage(deps, { ...options, body }, signal)),
  };
}

/** For a process without an engine: each throws `engine_elsewhere`. */
export const NO_TRANSFERS: PackageTransfers = {
  export: () => Promise.reject(engineElsewhere()),
  import: () => Promise.reject(engineElsewhere()),
};

function engineElsewhere(): Fault {
  return new Fault(
    "engine_elsewhere",
    "This process has no Docker Engine: run `berth export` and `berth import` where a worker runs, with its settings.",
  );
}

/** Logs how the work ended and how long it took. Throws what the work throws. */
async function logged<T extends object>(
  { log, clock }: PackageTransfersDeps,
  fields: Readonly<Record<string, unknown>>,
  work: () => Promise<T>,
): Promise<T> {
  const startedAt = clock.now();
  const duration = () => clock.now() - startedAt;
  try {
    const done = await work();
    log.info({ ...fields, ok: true, duration_ms: duration() });
    return done;
  } catch (failure) {
    const { code, rule, cause } = toFault(failure);
    log[rule.log]({ ...fields, ok: false, duration_ms: duration(), code, err: cause ?? failure });
    throw failure;
  }
}

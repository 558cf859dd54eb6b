import { Fault, formatFault, toFault } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import type { Pool } from "../../domain/runtime.ts";
import type { Log } from "../../observe/log.ts";
import type { Store } from "../../store/store.ts";
import type { InstallationRequests } from "../contracts.ts";

const PAGE = 200;

export interface RebuildDeps {
  readonly store: Store;
  readonly requests: Pick<InstallationRequests, "install">;
  readonly log: Log;
}

/**
 * Repairs a pool whose image is gone from the engine, because someone removed it or Berth moved to another machine: each
 * installation on it is installed again from its stored package, by a task. Data and id stay. An installation whose task
 * could not be accepted is `failed` with the cause; repeating the install repairs it.
 */
export function createRebuild({ store, requests, log }: RebuildDeps): (pool: Pool) => Promise<void> {
  const rebuild = async ({ id, tenantId, identifier }: Installation, fault: Fault) => {
    const fields = { op: "installation.rebuild", installation_id: id, tenant_id: tenantId, identifier };
    try {
      // Only a failed installation gets a new task.
      await store.installations.setState(id, "failed", formatFault(fault));
      const { task } = await requests.install({ tenantId, identifier, asTenant: false });
      log.warn({ ...fields, ok: true, task_id: task.id }, "its image is gone; installing it again");
    } catch (error) {
      const { code } = toFault(error);
      log.error({ ...fields, ok: false, code, err: error });
    }
  };
  return async (pool) => {
    await store.images.forget(pool.imageKey);
    const fault = imageMissing(pool);
    let cursor: string | undefined;
    do {
      const page = await store.installations.list(
        { poolKey: pool.key },
        { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) },
      );
      for (const found of page.items) {
        const isServed = found.state === "ready" || found.state === "crash_loop";
        if (isServed && found.desired === "enabled") await rebuild(found, fault);
      }
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  };
}

function imageMissing({ imageRef }: Pool): Fault {
  return new Fault(
    "image_missing",
    `The engine no longer has the image ${imageRef}; repeat the install to build it.`,
  );
}

import { join } from "node:path";
import { createRuntimeFolders, type RuntimeFolders } from "../runtime/launch/runtime-folders.ts";
import { createForeignCallAudit } from "../runtime/reach/foreign-call-audit.ts";
import { RuntimeLinks } from "../runtime/reach/runtime-links.ts";
import { createSocketTransport } from "../transport/socket/socket-transport.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { profileSettings, requestBytesMax } from "./settings.ts";

const RUNNER_FILE = join(import.meta.dirname, "../../runtime-images/python/runner.py");

/** The links to runtimes, and the folders in which their sockets are. */
export interface Links {
  readonly links: RuntimeLinks;
  readonly folders: RuntimeFolders;
}

/** This process's sockets to runtimes: an api calls over them, a worker checks health over them, `serve` does both. */
export function createLinks({ config, log, scope, processId, caBundle, store }: Base): Links {
  const { frameBytesMax } = profileSettings(config, caBundle);
  const folders = createRuntimeFolders({
    dataFolder: config.dataFolder,
    runnerFile: RUNNER_FILE,
    caBundle,
  });
  const transport = scope.use(createSocketTransport({ processId, log }));
  const links = new RuntimeLinks({
    transport,
    folders,
    frameBytesMax,
    requestBytesMax: requestBytesMax(config),
    onForeignCall: createForeignCallAudit({ store, clock: systemClock, log }),
    log,
  });
  return { folders, links: scope.use(links) };
}

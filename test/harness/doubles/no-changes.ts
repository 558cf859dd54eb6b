import { Fault } from "../../../src/domain/fault.ts";
import type { InstallationChanges } from "../../../src/installation/requests/installation-changes.ts";

/** Without installations: every change is refused, and no upload upgrades anything. */
export function noChanges(): InstallationChanges {
  const absent = () => Promise.reject(new Fault("installation_not_found", "Nothing is installed."));
  return {
    ...{ upgrade: absent, rollback: absent, restart: absent },
    ...{ enable: absent, disable: absent, limits: absent },
    due: () => Promise.resolve({ accepted: [], waiting: 0 }),
  };
}

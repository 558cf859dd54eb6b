import type { InvocationRequest } from "../../../domain/invocation.ts";
import type { Log } from "../../../observe/log.ts";
import { RecentKeys } from "../../../util/recent-keys.ts";

const PLUGINS_MAX = 10_000;
/** The plugin chose the text. */
const TYPE_CHARS_MAX = 100;

/** Reports a message whose type Berth does not know. */
export type UnknownTypeLog = (
  call: Pick<InvocationRequest, "tenantId" | "pluginId" | "requestId">,
  type: string,
) => void;

/** One line per plugin, whoever calls it and however many types it has. */
export function unknownTypeLog(log: Log): UnknownTypeLog {
  const reported = new RecentKeys(PLUGINS_MAX);
  return ({ tenantId, pluginId, requestId }, type) => {
    if (!reported.isNew(pluginId)) return;
    log.warn(
      {
        op: "message.unknown_type",
        plugin: pluginId,
        tenant_id: tenantId,
        request_id: requestId,
        message_type: type.slice(0, TYPE_CHARS_MAX),
      },
      "This message's type is not known here and was passed on unchanged; the platform may refuse it.",
    );
  };
}

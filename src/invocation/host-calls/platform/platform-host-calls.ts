import { Fault } from "../../../domain/fault.ts";
import type { InnerApi } from "../../../platform/inner-api.ts";
import type { HostCallServer } from "../contract.ts";
import { platformBody } from "./platform-body.ts";

/** After the session's own clock, which reports what the session still waits for. */
const AFTER_SESSION_MS = 10;

/**
 * The platform serves calls back. A call may take as long as its session; the request to the platform ends with either.
 * The next item is read from the platform when the plugin has read the one before.
 */
export function createPlatformHostCalls(innerApi: InnerApi): HostCallServer {
  return {
    name: "the platform's inner API",
    async serve({ type, rule, request, context }, answer) {
      const { platform } = rule;
      if (platform === undefined) throw new Fault("permission_denied", `No platform serves ${type}.`);
      const { tenantId, userId, remainingMs, signal } = context;
      const body = platformBody(
        request.text,
        { tenant_id: tenantId, user_id: userId, type },
        platform.defaults,
      );
      const question = { path: platform.path, answer: platform.answer, body };
      const deadlineMs = remainingMs + AFTER_SESSION_MS;
      for await (const item of innerApi.ask({ ...question, deadlineMs }, signal)) await answer.item(item);
    },
  };
}

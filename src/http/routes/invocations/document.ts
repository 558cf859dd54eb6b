import { z } from "@hono/zod-openapi";
import type { Operation } from "../../../domain/operations/operation.ts";
import type { Access } from "../../middleware/authenticate.ts";
import { invokeTag } from "../../openapi.ts";
import type { Routes } from "../../route.ts";

const Params = z.object({ tenant: z.uuid(), author: z.string(), name: z.string() });
const Answer = z
  .object({ items: z.array(z.unknown()), request_id: z.string() })
  .openapi("InvocationDocument");
const Stream = z.string().openapi("InvocationStream", {
  description:
    "Server-sent events: one `item` per item of the plugin, then exactly one `end` ({items}) or `error` (an Error). Lines that begin with a colon are pings.",
});

/** Of the documented routes and of those that serve them. */
export const INVOKE_ACCESS: Access = { opens: "tenant", scope: "invoke" };

/** One documented path per operation, so that each shows its own fields. */
export function documentInvoke(
  routes: Routes,
  { name, path }: { readonly name: string; readonly path: string },
  operation: Operation,
): void {
  routes.document({
    name: camelCase(name),
    method: "post",
    path,
    tag: invokeTag(operation.type),
    summary: operation.summary,
    access: INVOKE_ACCESS,
    params: Params,
    body: operation.schema,
    answers: {
      200: {
        description: "A stream, or with `Accept: application/json` one document",
        content: { "text/event-stream": Stream, "application/json": Answer },
      },
    },
    faults: [
      "invalid_json",
      "installation_not_found",
      "operation_not_found",
      "provider_not_found",
      "tool_not_found",
      "credential_not_found",
      "payload_too_large",
      "unsupported_media_type",
      "busy",
      "plugin_disabled",
      "plugin_not_ready",
      "plugin_error",
      "plugin_crashed",
      "plugin_unhealthy",
      "plugin_timeout",
      "slow_caller",
      "frame_too_large",
    ],
  });
}

function camelCase(name: string): string {
  return name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

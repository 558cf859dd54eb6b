/**
 * Routes of the daemon for features that Berth does not have: calls back from serverless plugins,
 * profiles of a Go program, plugins on a serverless platform. Each refuses with its reason, behind the daemon's gate.
 */

import type { DifyDoor } from "./door.ts";
import { successText } from "./envelope.ts";
import { refusal } from "./errors.ts";
import { IdentifierInput, isIdentifier, NOTHING } from "./inputs.ts";
import { needed, struct, text } from "./wire/shape.ts";

const MovedInput = struct({
  plugin_unique_identifier: needed(text, isIdentifier),
  function_name: needed(text),
  function_url: needed(text),
});

export function addRefusedRoutes(door: DifyDoor): void {
  door.add(
    {
      method: "POST",
      path: "/backwards-invocation/transaction",
      gate: "open",
      input: NOTHING,
      errorStatus: 404,
    },
    () => refuse("no plugin runs on a serverless platform here: plugins call back over their own link"),
  );
  door.add({ method: "GET", path: "/debug/pprof/*", gate: "key", input: NOTHING, errorStatus: 404 }, () =>
    refuse("there are no Go profiles here; /metrics/ and /health/ready say how this server is"),
  );
  if (door.options.settings.adminKey === undefined) return;
  const prefix = "/admin/plugin/serverless";
  door.add({ method: "POST", path: `${prefix}/reinstall`, gate: "admin", input: IdentifierInput }, () => {
    const last = { event: "error", data: "reinstall is not supported on local platform" };
    const headers = { "content-type": "text/event-stream" };
    return new Response(`data: ${successText(last)}\n\n`, { headers });
  });
  door.add({ method: "POST", path: `${prefix}/switch-endpoint`, gate: "admin", input: MovedInput }, () => {
    const message = "switch serverless runtime is not supported on local platform";
    throw refusal("PluginDaemonInternalServerError", message);
  });
}

function refuse(message: string): never {
  throw refusal("PluginDaemonBadRequestError", message);
}

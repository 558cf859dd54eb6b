import { FRAME_DEPTH_MAX } from "../../../domain/frame.ts";
import { JsonCursor } from "../../../util/json/json-cursor.ts";

/** For whom a plugin acts, and what it asks for: the session's, whatever the plugin says. */
export interface SessionMembers {
  readonly tenant_id: string;
  readonly user_id: string;
  readonly type: string;
}

/**
 * The request of a plugin as the platform gets it: each member once, as the plugin wrote it, so that no number loses a
 * digit. Those of the session take the place of the plugin's own, and `defaults` that of missing and null ones. Members
 * that Berth does not know stay: the platform ignores what it does not know either, and newer ones reach a newer
 * platform. `request` is a JSON object without errors.
 */
export function platformBody(
  request: string,
  session: SessionMembers,
  defaults: Readonly<Record<string, unknown>> = {},
): string {
  const members = new Map<string, string>();
  const cursor = new JsonCursor(request, FRAME_DEPTH_MAX);
  cursor.object((name) => {
    cursor.peek();
    const { at } = cursor;
    if (!cursor.skip()) return false;
    // of a repeated name the last one counts, as for every reader
    members.set(name, request.slice(at, cursor.at));
    return true;
  });
  for (const [name, value] of Object.entries(defaults))
    if ((members.get(name) ?? "null") === "null") members.set(name, JSON.stringify(value));
  for (const [name, value] of Object.entries(session)) members.set(name, JSON.stringify(value));
  return `{${[...members].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}

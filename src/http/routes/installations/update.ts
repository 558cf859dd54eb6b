import { z } from "zod";
import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

const Limit = z.int().nullable().optional();
const Limits = z.object({
  memory_bytes: Limit,
  storage_bytes: Limit,
  cpu_millis: Limit,
  pids_max: Limit,
  concurrency_max: Limit,
  timeout_ms: Limit,
  replicas_min: Limit,
  replicas_max: Limit,
});
// The handler checks it: errors name the operator's ceiling, which a schema does not know.
const Body = z.strictObject({
  limits: z.unknown().meta({
    ...z.toJSONSchema(Limits, { io: "input" }),
    description: "Up to the operator's ceiling. A limit that is left out stays; null undoes a choice",
  }),
});

export function addUpdateInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "",
    summary:
      "Changes the limits, in the running container or with a new one; `task.applied` says which. If it fails, nothing changes.",
    body: Body,
    faults: ["invalid_json", "unsupported_media_type"],
    accept: (changes, request, { limits }) => changes.limits({ ...request, limits }),
  });
}

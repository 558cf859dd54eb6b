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
// What is wrong in it is said with the operator's ceiling beside it, which no schema knows.
const Body = z.strictObject({
  limits: z.unknown().meta({
    ...z.toJSONSchema(Limits, { io: "input" }),
    description: "Up to the operator's ceiling; what is not named stays, null takes a choice back",
  }),
});

export function addUpdateInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "",
    summary:
      "Changes its limits, in the container that runs or with a new one; `task.applied` says which. What cannot be had changes nothing.",
    body: Body,
    faults: ["invalid_json", "unsupported_media_type"],
    accept: (changes, request, { limits }) => changes.limits({ ...request, limits }),
  });
}

import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

export function addRestartInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/restart",
    summary: "Replaces the running containers, which drain first. Ends `crash_loop`.",
    faults: ["plugin_disabled", "forbidden"],
    accept: (changes, request) => changes.restart(request),
  });
}

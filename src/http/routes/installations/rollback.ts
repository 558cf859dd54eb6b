import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

export function addRollbackInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/rollback",
    summary: "Switches to the previous version, from its own image; repeat to switch back.",
    isForceable: true,
    faults: ["dependency_in_use"],
    accept: (changes, request) => changes.rollback(request),
  });
}

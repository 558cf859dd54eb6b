import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

export function addDisableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/disable",
    summary: "Calls are refused from now on; containers stop with their last call. Everything else stays.",
    accept: (changes, request) => changes.disable(request),
  });
}

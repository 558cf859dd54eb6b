import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

export function addEnableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/enable",
    summary: "Starts a disabled one again. Where that fails it stays disabled, and shows why.",
    accept: (changes, request) => changes.enable(request),
  });
}

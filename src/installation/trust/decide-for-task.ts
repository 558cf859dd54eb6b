import type { Installation } from "../../domain/installation.ts";
import type { InstallationTask } from "../../domain/task.ts";
import type { TrustDecision } from "../../domain/trust.ts";
import type { ReadPackage } from "../../packages/read-package.ts";
import type { TaskJournal } from "../task-engine/task-journal.ts";
import type { Trust } from "./trust.ts";

/**
 * Decides whether the package of a task is trusted, by the keys and policies of now and the task's input. Records the
 * decision of an install with the installation, and a warning in the task. Throws `signature_required`, `signature_wrong`.
 */
export async function decideForTask(
  { trust }: { readonly trust: Trust },
  read: ReadPackage,
  context: {
    readonly task: Pick<InstallationTask, "input" | "kind">;
    readonly installation: Pick<Installation, "id" | "tenantId">;
    readonly journal: Pick<TaskJournal, "warning">;
  },
): Promise<TrustDecision> {
  const { id, tenantId } = context.installation;
  const verifySignature = context.task.input["verifySignature"] === true;
  const decision = await trust.decide({ read, tenantId, verifySignature, from: "store" });
  // A change records its decision only when it is ready: until then the installation has its old package.
  if (context.task.kind === "install") await trust.record(id, decision);
  if (decision.warning !== undefined) context.journal.warning(decision.warning);
  return decision;
}

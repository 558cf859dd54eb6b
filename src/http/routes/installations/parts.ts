import { createHash } from "node:crypto";
import { z } from "zod";
import { Fault, invalidInput } from "../../../domain/fault.ts";
import { InstallationId, TenantId } from "../../../domain/ids.ts";
import type { Installation } from "../../../domain/installation.ts";
import type { Accepted, IdempotencyClaim } from "../../../store/contracts/answers.ts";
import type { TaskAccepted } from "../../../store/contracts/tasks.ts";
import type { Store } from "../../../store/store.ts";
import { installationJson, taskJson } from "../../schemas.ts";

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,200}$/;

export const InstallationParams = z.object({ tenant: TenantId, id: InstallationId });

export const IdempotencyHeader = z.object({
  "Idempotency-Key": z
    .string()
    .regex(IDEMPOTENCY_KEY)
    .optional()
    .meta({ description: "Repeating a request with the same key within 24 h returns the same task" }),
});

/** Throws `installation_not_found`, also for an installation of another tenant. */
export async function getInstallation(
  store: Pick<Store, "installations">,
  { tenant, id }: z.output<typeof InstallationParams>,
): Promise<Installation> {
  const installation = await store.installations.find(id);
  if (installation !== undefined && installation.tenantId === tenant) return installation;
  throw installationNotFound(id);
}

export function installationNotFound(id: string): Fault {
  return new Fault("installation_not_found", `The tenant has no installation ${id}.`, {
    details: { field: "id", value: id, accepted: "the id of an installation of this tenant" },
  });
}

/** 202: the task is stored; `Location` says where to follow it. */
export function acceptedResponse(accepted: Accepted | TaskAccepted): Response {
  const { task, created } = accepted;
  const installation = "installation" in accepted ? installationJson(accepted.installation) : null;
  return Response.json(
    { installation, task: taskJson(task), created },
    { status: 202, headers: { location: `/v1/tenants/${task.tenantId}/tasks/${task.id}` } },
  );
}

/** The claim of a request's `Idempotency-Key` for one holder. Throws `invalid_input` for an invalid key. */
export function idempotencyClaim(
  holder: string,
  key: string | undefined,
  { method, url, text }: { readonly method: string; readonly url: string; readonly text: string },
): IdempotencyClaim | undefined {
  if (key === undefined) return undefined;
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw invalidInput("Idempotency-Key", key, "1 to 200 visible ASCII characters");
  }
  const hash = createHash("sha256").update(`${method} ${new URL(url).pathname}\n${text}`);
  return { holder, key, requestHash: hash.digest("hex") };
}

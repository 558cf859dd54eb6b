import type { Accepted } from "../../../store/store.ts";
import { installationJson, taskJson } from "../../schemas.ts";

/** 202: the work is written down; where to watch it stands in `Location`. */
export function acceptedResponse({ installation, task, created }: Accepted): Response {
  return Response.json(
    { installation: installationJson(installation), task: taskJson(task), created },
    { status: 202, headers: { location: `/v1/tenants/${task.tenantId}/tasks/${task.id}` } },
  );
}

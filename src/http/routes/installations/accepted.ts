import type { Accepted } from "../../../store/contracts/answers.ts";
import type { TaskAccepted } from "../../../store/contracts/tasks.ts";
import { installationJson, taskJson } from "../../schemas.ts";

/** 202: the work is written down; where to watch it stands in `Location`. */
export function acceptedResponse(accepted: Accepted | TaskAccepted): Response {
  const { task, created } = accepted;
  const installation = "installation" in accepted ? installationJson(accepted.installation) : null;
  return Response.json(
    { installation, task: taskJson(task), created },
    { status: 202, headers: { location: `/v1/tenants/${task.tenantId}/tasks/${task.id}` } },
  );
}

import { type Fault, type FaultJson, formatFault } from "../../domain/fault.ts";

/** The body of every error answer, and the data of every `error` event. */
export interface FaultBody {
  readonly error: FaultJson;
  readonly request_id: string;
}

export function faultBody(fault: Fault, requestId: string): FaultBody {
  return { error: formatFault(fault), request_id: requestId };
}

export function faultResponse(fault: Fault, requestId: string): Response {
  const headers: Record<string, string> = { "x-request-id": requestId };
  if (fault.code === "unauthorized") headers["www-authenticate"] = 'Bearer realm="berth"';
  return Response.json(faultBody(fault, requestId), { status: fault.rule.status, headers });
}

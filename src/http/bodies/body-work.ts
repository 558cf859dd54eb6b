/** What is done with the body of a call, on the event loop and in the thread alike. */
import { Fault, type FaultCode, type FaultDetails, toFault } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { CallerFields } from "../../domain/invocation.ts";
import type { Operation } from "../../domain/operations/operation.ts";
import { indexOperations } from "../../domain/operations/operations.ts";
import { callShape, type PreparedCall, prepareCall } from "../dify/dispatch/call-body.ts";
import { DISPATCHED } from "../dify/wire/operations/dispatched.ts";
import { callerFields, sparseFields } from "./caller-fields.ts";

/** The names of the operation: the operation itself cannot be sent to another thread. */
export interface BodyWork {
  readonly type: string;
  readonly action: string;
}

export interface DispatchedWork extends BodyWork {
  readonly contentType: string | undefined;
  /** From the path. */
  readonly tenantId: TenantId | undefined;
}

const find = indexOperations();
const ROUTES = new Map(
  DISPATCHED.map((operation) => [nameOf(operation), { operation, shape: callShape(operation) }]),
);

/** Throws `invalid_json` and `invalid_input`. */
export function readFields(work: BodyWork, body: Buffer): CallerFields {
  return callerFields(operationOf(work), body);
}

/** Throws the daemon's errors for JSON that cannot be accepted. */
export function readDispatched(work: DispatchedWork, body: Buffer): PreparedCall {
  const route = ROUTES.get(nameOf(work));
  if (route === undefined) throw new Error(`no route dispatches ${nameOf(work)}`);
  return prepareCall(route, { ...work, body });
}

/** A job for the other thread, and its answer. */
export type BodyJob =
  | { readonly kind: "fields"; readonly work: BodyWork }
  | { readonly kind: "dispatched"; readonly work: DispatchedWork };
export type PostedAnswer =
  | {
      readonly ok: true;
      readonly answer: Omit<CallerFields, "refusal"> | Omit<PreparedCall, "refusal">;
      readonly refusal: PostedFault | undefined;
    }
  | { readonly ok: false; readonly fault: PostedFault };

/** A fault as it travels between threads: without its class and its cause. */
export interface PostedFault {
  readonly code: FaultCode;
  readonly message: string;
  readonly details: FaultDetails;
  readonly context: Readonly<Record<string, unknown>>;
}

/** Runs in the other thread. Only what Berth needs of the body is sent back. */
export function answerJob(job: BodyJob, body: Buffer): PostedAnswer {
  try {
    const read =
      job.kind === "fields"
        ? sparseFields(operationOf(job.work), readFields(job.work, body))
        : readDispatched(job.work, body);
    const { refusal, ...answer } = read;
    return { ok: true, answer, refusal: refusal && posted(refusal) };
  } catch (error) {
    return { ok: false, fault: posted(toFault(error)) };
  }
}

export function receivedFault({ code, message, ...rest }: PostedFault): Fault {
  return new Fault(code, message, rest);
}

function posted({ code, message, details, context, cause }: Fault): PostedFault {
  const why = cause instanceof Error && code === "internal" ? { thrown: cause.stack } : {};
  return { code, message, details, context: { ...context, ...why } };
}

function operationOf({ type, action }: BodyWork): Operation {
  const operation = find(type, action);
  if (operation === undefined) throw new Error(`there is no operation ${type}/${action}`);
  return operation;
}

function nameOf({ type, action }: BodyWork): string {
  return `${type}/${action}`;
}

import { type Fault, type FaultJson, formatFault } from "../../domain/fault.ts";

/** The cause of a failed task: the Fault, with the last lines of the task's log in `details.log`. */
export function explain(fault: Fault, { tail }: { readonly tail: readonly string[] }): FaultJson {
  const cause = formatFault(fault);
  if (fault.code === "cancelled" || tail.length === 0) return cause;
  return { ...cause, details: { ...cause.details, log: tail } };
}

import { Fault } from "../domain/fault.ts";
import { failureReason } from "../util/network-failure.ts";
import { AnswerTooLarge } from "../util/outbound-request.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

/** How far a question to the inner API had come. */
export interface AskProgress {
  readonly path: string;
  /** Undefined until the head of the answer has come. */
  readonly status: number | undefined;
  /** Items that were passed on. */
  readonly items: number;
}

/** Why it went no further: what a status other than 200 came with, the deadline that has passed, or what was thrown. */
export type AskProblem =
  | { readonly refusal: string }
  | { readonly deadlineMs: number }
  | { readonly error: unknown };

/** Its message is for the code of the plugin that asked, and for its log. */
export function askFailure(progress: AskProgress, problem: AskProblem): Fault {
  const { path, status, items } = progress;
  const came = items === 0 ? "" : ` after ${items} ${items === 1 ? "item" : "items"}`;
  const state = status === undefined ? "no status" : `status ${status}${came}`;
  const message = `The platform's inner API failed (${path}, ${state}): ${causeOf(progress, problem)}.`;
  return new Fault(isRefusal(progress, problem) ? "platform_refused" : "platform_unavailable", message, {
    details: { path, status: status ?? null, items },
    ...("error" in problem && { cause: problem.error }),
  });
}

function isRefusal({ status = 0 }: AskProgress, problem: AskProblem): boolean {
  if ("refusal" in problem) return status >= 400 && status < 500 && ![401, 404, 429].includes(status);
  if (!("error" in problem)) return false;
  return problem.error instanceof UnusableAnswer || problem.error instanceof AnswerTooLarge;
}

function causeOf({ status }: AskProgress, problem: AskProblem): string {
  if ("deadlineMs" in problem) {
    const what = status === undefined ? "it did not answer" : "its answer did not end";
    return `${what} within ${problem.deadlineMs} ms, the time that the call had left`;
  }
  if ("error" in problem) return failureReason(problem.error);
  const hint = status === 401 || status === 404 ? "its address or key may be wrong" : "";
  const said = problem.refusal === "" ? "" : `it said: ${problem.refusal}`;
  return [hint, said].filter((part) => part !== "").join("; ") || "it gave no reason";
}

import { isUtf8 } from "node:buffer";
import { JsonCursor } from "../util/json/json-cursor.ts";
import { oneLine } from "../util/json/json-source.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

/** The public SDK reads at most 200 levels of a line, and the envelope of the line has some. */
const DEPTH_MAX = 190;

/**
 * The text of `data` in `{"data": ..., "error": ""}`, on one line and otherwise as the platform wrote it, so that no
 * number loses a digit. Throws `UnusableAnswer` with the text of `error` if there is one, where `data` is missing or
 * null, and for bytes that are no such object.
 */
export function readAnswerData(answer: Buffer): string {
  if (!isUtf8(answer)) throw new UnusableAnswer("it sent bytes that are not UTF-8; accepted: JSON in UTF-8");
  return dataIn(answer.toString());
}

/** As `readAnswerData`, for an answer whose `data` is again an object with `data`. */
export function readNestedAnswerData(answer: Buffer): string {
  return dataIn(readAnswerData(answer));
}

function dataIn(text: string): string {
  const cursor = new JsonCursor(text, DEPTH_MAX);
  let data: string | undefined;
  let error: string | undefined;
  const isObject = cursor.object((name) => {
    cursor.peek();
    const { at } = cursor;
    if (!cursor.skip()) return false;
    if (name === "data") data = text.slice(at, cursor.at);
    if (name === "error") error = text.slice(at, cursor.at);
    return true;
  });
  if (!isObject || !cursor.isAtEnd())
    throw new UnusableAnswer(`${shownProblem(cursor)}; accepted: a JSON object with data and error`);
  if (error !== undefined && error !== '""' && error !== "null") throw reported(JSON.parse(error));
  if (data === undefined || data === "null") throw new UnusableAnswer("it sent no data");
  return oneLine(data);
}

function shownProblem({ problem }: JsonCursor): string {
  return problem.startsWith("nested") ? `its answer is ${problem}` : `it sent ${problem}`;
}

function reported(error: unknown): UnusableAnswer {
  return new UnusableAnswer(
    `it reported the error: ${typeof error === "string" ? error : JSON.stringify(error)}`,
  );
}

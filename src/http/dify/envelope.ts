/** The envelope of every answer of this door, and how its JSON is written. */
import { type DaemonError, ERROR_TYPES } from "./errors.ts";

export function successText(data: unknown): string {
  return `{"code":0,"message":"success","data":${jsonText(data)}}`;
}

/** The message is itself a JSON document, as a string. */
export function failureText({ type, message }: DaemonError): string {
  const inner = JSON.stringify({ message, error_type: type, args: null });
  return `{"code":${ERROR_TYPES[type].code},"message":${jsonText(inner)},"data":null}`;
}

/** Clients that read line by line also end lines at these characters, so they are always escaped in JSON. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return LINE_ENDS.test(text) ? text.replaceAll(ALL_LINE_ENDS, escapeCharacter) : text;
}

const LINE_ENDS = /[\u0085\u2028\u2029]/;
const ALL_LINE_ENDS = /[\u0085\u2028\u2029]/g;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

export function successResponse(data: unknown): Response {
  return jsonResponse(200, successText(data));
}

/** `status` is the route's; an error with a status of its own keeps it. */
export function failureResponse(error: DaemonError, status: number): Response {
  return jsonResponse(error.status ?? status, failureText(error));
}

export function jsonResponse(status: number, text: string): Response {
  return new Response(text, { status, headers: { "content-type": "application/json; charset=utf-8" } });
}

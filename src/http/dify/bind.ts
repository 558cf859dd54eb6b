/**
 * Binds a request to the input of its route, as the daemon does: what cannot be read counts as absent, and the rules
 * are checked afterwards. A GET reads its query, and a JSON body too where it announces one.
 */
import type { Context } from "hono";
import { type Fault, isFault, toFault } from "../../domain/fault.ts";
import type { JsonMap } from "../../domain/json.ts";
import type { JsonText } from "../../util/json/json-scan.ts";
import type { HttpEnv } from "../env.ts";
import { checkContentLength, readBytes, readIncoming } from "../middleware/body.ts";
import { checkJson, type JsonRules, STORED } from "../middleware/json-body.ts";
import { unstorable } from "../middleware/storable-url.ts";
import { refusal } from "./errors.ts";
import { Reading, type Shape } from "./wire/shape.ts";

/** Throws an error with status 400 that names the fields that break a rule. */
export async function bind<T>(c: Context<HttpEnv>, shape: Shape<T>, bytesMax: number): Promise<T> {
  const type = c.req.header("content-type");
  const isJson = type?.split(";", 1)[0]?.trim().toLowerCase() === "application/json";
  const query = queryOf(c);
  const body = isJson ? await jsonBody(c, bytesMax) : {};
  const form = isJson || c.req.method === "GET" ? {} : await formBody(c, bytesMax);
  const read = (given: JsonMap, isForm: boolean) => shape.read(given, new Reading({ isForm }));
  // numbers are texts in a query but must not be in JSON: each is read by its own rules
  const found = isJson
    ? { ...shape.zero, ...onlySet(read(query, true)), ...onlySet(read(body, false)) }
    : read({ ...query, ...form }, true);
  return checked(shape, { ...found, ...onlySet(read(c.req.param(), true)) });
}

/** Throws an error with status 400 that names the fields that break a rule. */
export function checked<T>(shape: Shape<T>, value: T): T {
  const broken: string[] = [];
  shape.check?.(value, "", broken);
  if (broken.length === 0) return value;
  throw refusal("PluginDaemonBadRequestError", broken.join("\n"), 400);
}

function onlySet<T>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value ?? {}).filter(([, one]) => !isUnset(one))) as Partial<T>;
}

function isUnset(value: unknown): boolean {
  return value === undefined || value === null || value === "" || value === 0 || value === false;
}

async function jsonBody(c: Context<HttpEnv>, bytesMax: number): Promise<JsonMap> {
  checkContentLength(c.req.header("content-length"), bytesMax);
  const { incoming } = c.env;
  const isSent = Number(c.req.header("content-length") ?? 0) > 0 || c.req.header("transfer-encoding");
  // A Request of method GET has no body, but the message on the wire may have one.
  if (c.req.method === "GET" && incoming !== undefined)
    return isSent ? parsed(await readIncoming(incoming, bytesMax)) : {};
  return parsed(await readBytes(c.req.raw.body, bytesMax));
}

function parsed(body: Buffer): JsonMap {
  return jsonText(body, STORED)?.isObject === true ? (JSON.parse(body.toString()) as JsonMap) : {};
}

/** Undefined where the body is not JSON, which counts as empty. Throws, with status 400, for unacceptable JSON. */
export function jsonText(body: Buffer, rules: JsonRules): JsonText | undefined {
  try {
    return checkJson(body, rules);
  } catch (error) {
    if (isFault(error, "invalid_json")) return undefined;
    throw refusal("PluginDaemonBadRequestError", toFault(error).message, 400);
  }
}

function queryOf(c: Context<HttpEnv>): JsonMap {
  return Object.fromEntries(
    Object.entries(c.req.queries()).map(([key, values]) => [key, values.length === 1 ? values[0] : values]),
  );
}

async function formBody(c: Context<HttpEnv>, bytesMax: number): Promise<JsonMap> {
  const type = c.req.header("content-type") ?? "";
  if (!type.startsWith("application/x-www-form-urlencoded")) return {};
  checkContentLength(c.req.header("content-length"), bytesMax);
  const text = (await readBytes(c.req.raw.body, bytesMax)).toString();
  const fault = unstorable(`?${text}`);
  if (fault !== undefined) throw refusal("PluginDaemonBadRequestError", fault.message, 400);
  const body = new URLSearchParams(text);
  return Object.fromEntries([...new Set(body.keys())].map((key) => [key, oneOrAll(body.getAll(key))]));
}

function oneOrAll(values: readonly string[]): unknown {
  return values.length === 1 ? values[0] : values;
}

/** A body that is too large or incomplete is the caller's fault, whatever the route's status for errors. */
export function statusOf(error: unknown, routeStatus: number): number {
  const fault: Fault = toFault(error);
  const own = ["payload_too_large", "shutting_down", "answer_timeout", "request_timeout"];
  return own.includes(fault.code) ? fault.rule.status : routeStatus;
}

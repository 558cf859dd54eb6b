/** The body of a call of `/v1`: the fields that Berth reads, and the text that goes to the plugin unchanged. */
import { invalidInput, toFault } from "../../domain/fault.ts";
import { parseInput } from "../../domain/input.ts";
import type { CallerFields, TextPlace } from "../../domain/invocation.ts";
import type { Operation } from "../../domain/operations/operation.ts";
import { placeInText } from "../../util/json/json-places.ts";
import type { JsonMember } from "../../util/json/json-scan.ts";
import { parseJsonObject, SENT } from "../middleware/json-body.ts";

/** Ids that are stored and logged, and names that are looked up, beside those that the operation itself knows. */
const ABOUT = ["user_id", "conversation_id", "message_id", "app_id", "endpoint_id"];
const NAMES = [...ABOUT, "model", "model_type", "credential"];
/** Members that Berth itself writes in every request. */
const WRITTEN = ["type", "action", "tenant_id"];
/** Characters of a name that is looked up; real names are shorter. */
const NAME_MAX = 10_000;

/** Throws `invalid_json` and `invalid_input`. */
export function callerFields(operation: Operation, body: Buffer): CallerFields {
  const members: JsonMember[] = [];
  const onMember = (member: JsonMember) => {
    if (isKnown(operation, member.name)) members.push(member);
  };
  const fields = parseJsonObject(body, { ...SENT, onMember });
  for (const name of NAMES) checkName(name, fields[name]);
  const { providerField, item, aliases } = operation;
  if (providerField !== undefined) checkName(providerField, fields[providerField]);
  if (item !== undefined) checkName(item.field, fields[item.field]);
  for (const name in aliases) checkName(name, fields[name]);
  const text = body.toString();
  const places = members.map((member): [string, TextPlace] => [
    member.name,
    placeInText(body, member, text.length),
  ]);
  return { form: "fields", fields, text, places: new Map(places) };
}

/**
 * The same, checked, with only those fields that Berth reads: of lists, objects and long texts it only needs to know
 * that they are there.
 */
export function sparseFields(operation: Operation, { fields, ...rest }: CallerFields): CallerFields {
  const known = Object.entries(fields).filter(([name]) => isKnown(operation, name));
  return {
    ...rest,
    fields: Object.fromEntries(known.map(([name, value]) => [name, sparse(value)])),
    isChecked: true,
    refusal: refusalOf(operation, fields),
  };
}

function refusalOf(operation: Operation, fields: CallerFields["fields"]) {
  try {
    parseInput(operation.schema, fields);
    return undefined;
  } catch (error) {
    return toFault(error);
  }
}

function isKnown({ schema, aliases, defaults }: Operation, name: string): boolean {
  return (
    Object.hasOwn(schema.shape, name) ||
    Object.hasOwn(aliases, name) ||
    Object.hasOwn(defaults, name) ||
    WRITTEN.includes(name)
  );
}

function sparse(value: unknown): unknown {
  if (typeof value === "string") return value.slice(0, NAME_MAX);
  return typeof value === "object" && value !== null ? {} : value;
}

function checkName(name: string, value: unknown): void {
  if (typeof value === "string" && value.includes("\0"))
    throw invalidInput(name, value, "text without the character U+0000");
}

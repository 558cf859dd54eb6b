/**
 * From a caller's JSON to the line that the plugin reads. The caller's text goes in unchanged, with the SDK's own
 * fields beside it: parsing and serialising it again would cost time on large requests and digits on large numbers.
 */
import { Fault, invalidInput } from "../domain/fault.ts";
import { parseInput } from "../domain/input.ts";
import type { CallerFields, InvocationRequest, WireData } from "../domain/invocation.ts";
import type { Operation } from "../domain/operations/operation.ts";
import { membersWithout, placesIn } from "../util/json/json-places.ts";
import { oneLine } from "../util/json/json-source.ts";
import type { CatalogProvider, PluginCatalog } from "./plugin-catalog.ts";

/**
 * Checks the request against its operation's row and the plugin's declaration and formats the line, without a line end.
 * Throws `invalid_input`, `operation_not_found`, `provider_not_found`, `tool_not_found`, `not_found`.
 */
export function formatRequestLine(
  sessionId: string,
  request: InvocationRequest,
  catalog: PluginCatalog,
): string {
  const { content, operation } = request;
  if (content.form === "wire") return envelope(sessionId, request, content.about, content.data);
  const { fields } = content;
  if (content.refusal !== undefined) throw content.refusal;
  if (content.isChecked !== true) parseInput(operation.schema, fields);
  const added = { ...missingFields(operation, fields), ...aliasedFields(operation, fields) };
  const changed = replacedFields(request, { ...fields, ...added }, catalog);
  const kept = content.kept !== undefined && { credentials: content.kept };
  const head = { type: operation.type, action: operation.action, ...added, ...changed, ...kept };
  const own = ownText(content, head);
  return envelope(sessionId, request, { ...fields, context: own.context }, dataText(head, own.members));
}

/** For whom the plugin acts; empty where the user is not known. */
export function userOf({ content }: InvocationRequest): string {
  return content.form === "wire" ? content.userId : String(content.fields["user_id"] ?? "");
}

function missingFields(
  operation: Operation,
  fields: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const missing: Record<string, unknown> = {};
  for (const key in operation.defaults)
    if (!Object.hasOwn(fields, key)) missing[key] = operation.defaults[key];
  return missing;
}

function aliasedFields(
  operation: Operation,
  fields: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const aliased: Record<string, unknown> = {};
  for (const alias in operation.aliases) {
    const wireName = operation.aliases[alias] ?? alias;
    const given = fields[alias];
    const wire = fields[wireName];
    if (given !== undefined && wire !== undefined && given !== wire) {
      throw new Fault("invalid_input", `${alias} and ${wireName} name the same thing but differ.`, {
        details: {
          field: alias,
          value: { [alias]: given, [wireName]: wire },
          accepted: `${alias} or ${wireName}, or both with the same value`,
        },
      });
    }
    if (given === undefined && wire === undefined) throw invalidInput(alias, undefined, "a name");
    if (wire === undefined) aliased[wireName] = given;
  }
  return aliased;
}

/** Fields whose value on the wire differs from the caller's. */
function replacedFields(
  { operation, tenantId }: InvocationRequest,
  fields: Readonly<Record<string, unknown>>,
  catalog: PluginCatalog,
): Record<string, unknown> {
  const replaced: Record<string, unknown> = {};
  for (const key of ["type", "action"] as const) {
    if (fields[key] === undefined) continue;
    if (fields[key] !== operation[key]) throw invalidInput(key, fields[key], JSON.stringify(operation[key]));
    replaced[key] = operation[key];
  }
  if (operation.tenantField !== undefined) replaced[operation.tenantField] = tenantId;
  const offered = catalog.providers.filter(({ kind }) => operation.kinds.includes(kind));
  if (offered.length === 0) throw notOffered(operation, catalog);
  if (operation.providerField === undefined) return replaced;
  const given = fields[operation.providerField];
  const provider = findProvider(String(given), offered, catalog);
  if (provider.name !== given) replaced[operation.providerField] = provider.name;
  checkItem(operation, fields, provider);
  return replaced;
}

function notOffered(operation: Operation, catalog: PluginCatalog): Fault {
  const accepted = [...new Set(catalog.providers.map(({ kind }) => kind))];
  return new Fault(
    "operation_not_found",
    `${catalog.pluginId} offers no ${operation.kinds.join(" or ")}, which ${operation.type}/${operation.action} needs.`,
    { details: { field: "type", value: operation.type, accepted } },
  );
}

function findProvider(
  given: string,
  offered: readonly CatalogProvider[],
  { pluginId }: PluginCatalog,
): CatalogProvider {
  const own = given.startsWith(`${pluginId}/`) ? given.slice(pluginId.length + 1) : given;
  const found = offered.find(({ name }) => name === own);
  if (found !== undefined) return found;
  const accepted = offered.flatMap(({ name }) => [name, `${pluginId}/${name}`]);
  throw new Fault(
    "provider_not_found",
    `${pluginId} has no provider ${JSON.stringify(given)}; it has ${offered.map(({ name }) => name).join(", ")}.`,
    { details: { field: "provider", value: given, accepted } },
  );
}

function checkItem(
  { item }: Operation,
  fields: Readonly<Record<string, unknown>>,
  provider: CatalogProvider,
): void {
  if (item === undefined) return;
  const given = fields[item.field];
  if (typeof given === "string" && provider.items.includes(given)) return;
  throw new Fault(
    item.code,
    `${provider.name} has no ${item.field} ${JSON.stringify(given)}; it has ${provider.items.join(", ")}.`,
    { details: { field: item.field, value: given, accepted: provider.items } },
  );
}

/** The part of the caller's text that goes to the plugin as written: parsing and serialising could lose digits. */
function ownText(
  { fields, text, places, kept }: CallerFields,
  head: Readonly<Record<string, unknown>>,
): { readonly members: string; readonly context: string | undefined } {
  // with a duplicate key the reader would have to choose
  const named = kept === undefined ? [] : ["credential"];
  const rewritten = [...Object.keys(head), ...named].filter((key) => Object.hasOwn(fields, key));
  const hasContext = fields["context"] !== undefined && fields["context"] !== null;
  const line = oneLine(text);
  if (rewritten.length === 0 && !hasContext)
    return { members: line.trim().slice(1, -1).trim(), context: undefined };
  const found = places ?? placesIn(text, new Set([...rewritten, "context"]));
  const cut = rewritten.flatMap((key) => found.get(key) ?? []);
  const context = hasContext ? found.get("context") : undefined;
  return {
    members: membersWithout(line, cut),
    context: context === undefined ? undefined : line.slice(context.valueStart, context.end),
  };
}

function dataText(head: Readonly<Record<string, unknown>>, members: string): string {
  const headText = JSON.stringify(head).slice(0, -1);
  return members === "" ? `${headText}}` : `${headText},${members}}`;
}

/** The runner reads the request id where it stands here, to put it on the lines that the plugin logs. */
function envelope(
  sessionId: string,
  { requestId }: InvocationRequest,
  about: WireData["about"],
  data: string,
): string {
  const text = (key: Exclude<keyof WireData["about"], "context">) =>
    about[key] === undefined ? "null" : JSON.stringify(about[key]);
  return (
    `{"session_id":"${sessionId}","request_id":${JSON.stringify(requestId)},"conversation_id":${text("conversation_id")},"message_id":${text("message_id")},` +
    `"app_id":${text("app_id")},"endpoint_id":${text("endpoint_id")},"context":${about.context ?? "null"},"event":"request","data":${data}}`
  );
}

/**
 * What a tenant does with its endpoints. Secrets are always shown masked, and one sent back masked is unchanged.
 */
import type { Actor } from "../domain/audit.ts";
import {
  type EndpointId,
  type EndpointOffer,
  mayHaveEndpoints,
  readEndpointOffer,
} from "../domain/endpoint.ts";
import { Fault, type FaultJson, formatFault, invalidInput, isFault } from "../domain/fault.ts";
import type { TenantId } from "../domain/ids.ts";
import type { Installation } from "../domain/installation.ts";
import type { JsonMap } from "../domain/json.ts";
import type { DeclarationJson } from "../domain/package.ts";
import { parsePackageRef } from "../domain/package-ref.ts";
import { isGranted, notGranted, type PermissionDefault } from "../domain/permission.ts";
import type { Page, PageRequest } from "../store/contracts/answers.ts";
import type { EndpointAt, EndpointFilter, EndpointRecord } from "../store/contracts/endpoints.ts";
import type { Store } from "../store/store.ts";
import { checkSettings } from "./check-settings.ts";
import type { EndpointDirectory } from "./endpoint-directory.ts";
import { looksMasked, maskSettings, secretNames, unmaskSettings } from "./secret-settings/mask.ts";
import type { SecretKeeper, SettingsOwner } from "./secret-settings/secrets.ts";

/** An endpoint as its tenant may see it. */
export interface ShownEndpoint {
  readonly record: Omit<EndpointRecord, "settings" | "revision">;
  /** Secrets are masked; those that cannot be decrypted are left out. Empty where the plugin is not installed. */
  readonly settings: JsonMap;
  /** What its plugin offers now; undefined where it is not installed or no longer offers endpoints. */
  readonly offer: EndpointOffer | undefined;
  /** Why secrets are left out. */
  readonly cause: FaultJson | undefined;
}

/** A request to set up an endpoint of an installed plugin. */
export interface NewEndpointRequest {
  readonly tenantId: TenantId;
  /** `author/name`, or the identifier of the package that the tenant must have installed. */
  readonly plugin: string;
  readonly userId: string;
  readonly name: string;
  readonly settings: JsonMap;
  readonly by: Actor;
}

/** A request to change name or settings of an endpoint; what is left out stays. */
export interface EndpointUpdate extends EndpointAt {
  /** The user who asks, as the platform knows its users. */
  readonly userId: string;
  readonly name?: string;
  /** All settings, not only the changed ones. */
  readonly settings?: JsonMap;
  readonly by: Actor;
}

/**
 * Faults beside those of the store: `endpoint_not_found`, `installation_not_found` where the plugin is not installed,
 * `permission_denied` where its manifest does not ask for endpoints or the operator does not grant them,
 * `operation_not_found` where it has none, `invalid_input` for settings that break their rules, and what SecretKeeper
 * throws.
 */
export interface Endpoints {
  /** Stores nothing where the secrets could not be encrypted. */
  create(request: NewEndpointRequest, signal: AbortSignal): Promise<ShownEndpoint>;
  get(at: EndpointAt, signal: AbortSignal): Promise<ShownEndpoint>;
  /** An endpoint with unreadable secrets is still listed; a platform that does not answer fails the whole list. */
  list(filter: EndpointFilter, page: PageRequest, signal: AbortSignal): Promise<Page<ShownEndpoint>>;
  listPage(
    filter: EndpointFilter,
    page: { readonly number: number; readonly size: number },
    signal: AbortSignal,
  ): Promise<readonly ShownEndpoint[]>;
  /** Of two concurrent updates, the later one sees what the earlier one wrote. */
  update(change: EndpointUpdate, signal: AbortSignal): Promise<ShownEndpoint>;
  /** Repeating it changes nothing. */
  setEnabled(change: EndpointAt & { readonly enabled: boolean; readonly by: Actor }): Promise<void>;
  remove(at: EndpointAt & { readonly by: Actor }): Promise<void>;
}

export interface EndpointsDeps {
  readonly store: Pick<Store, "endpoints" | "installations" | "packages">;
  readonly secrets: SecretKeeper;
  readonly directory: Pick<EndpointDirectory, "changed">;
  readonly settings: { readonly permissionDefault: PermissionDefault };
}

const UPDATE_TRIES = 5;

export function createEndpoints(deps: EndpointsDeps): Endpoints {
  const { store, directory } = deps;
  return {
    create: (request, signal) => create(deps, request, signal),
    get: async (at, signal) => await shown(deps, await getEndpoint(store, at), signal),
    list: async (filter, page, signal) => {
      const { items, nextCursor } = await store.endpoints.list(filter, page);
      return { items: await shownAll(deps, items, signal), nextCursor };
    },
    listPage: async (filter, page, signal) =>
      await shownAll(deps, await store.endpoints.listPage(filter, page), signal),
    update: (change, signal) => update(deps, change, signal),
    setEnabled: async (change) => {
      const record = await store.endpoints.setEnabled(change);
      if (record === undefined) throw endpointNotFound(change.id);
      directory.changed(record.hookId);
    },
    remove: async (at) => {
      const record = await store.endpoints.remove(at);
      if (record === undefined) throw endpointNotFound(at.id);
      directory.changed(record.hookId);
    },
  };
}

async function create(
  { store, secrets, settings: { permissionDefault } }: EndpointsDeps,
  { tenantId, plugin, userId, name, settings, by }: NewEndpointRequest,
  signal: AbortSignal,
): Promise<ShownEndpoint> {
  const installation = await getInstalled(store, tenantId, plugin);
  const { pluginId } = installation;
  const offer = await getOffer(store, installation, { mayHave: mayHaveEndpoints });
  if (!isGranted("endpoint", installation.permissions, permissionDefault))
    throw notGranted("An endpoint", "endpoint");
  checkLength("plugin_id", pluginId, PLUGIN_ID_MAX);
  checkTexts({ name, user_id: userId });
  checkSettings(settings, offer.fields);
  const id = store.endpoints.newId();
  const owner = ownerOf({ id, tenantId }, userId, offer);
  const sealed = await secrets.seal(owner, settings, signal);
  signal.throwIfAborted();
  const record = await store.endpoints.create({ id, tenantId, pluginId, userId, name, settings: sealed, by });
  return asShown(record, { offer, settings: maskSettings(settings, offer.fields) });
}

async function update(
  deps: EndpointsDeps,
  change: EndpointUpdate,
  signal: AbortSignal,
): Promise<ShownEndpoint> {
  const { store, directory } = deps;
  // secrets that were sent back masked: they keep their value, even where a concurrent update changes it
  const kept = new Set<string>();
  for (let tries = 1; tries <= UPDATE_TRIES; tries += 1) {
    const record = await getEndpoint(store, change);
    const written = await updateOnce(deps, { ...change, kept }, record, signal);
    if (written === undefined) continue;
    directory.changed(record.hookId);
    await written.forget();
    return await shown(deps, written.record, signal);
  }
  throw new Fault("conflict", `Concurrent updates kept changing the endpoint ${change.id}; retry.`, {
    details: { field: "id", value: change.id },
  });
}

/** Undefined where a concurrent update came first. */
async function updateOnce(
  { store, secrets }: EndpointsDeps,
  { userId, name, settings, by, kept }: EndpointUpdate & { readonly kept: Set<string> },
  record: EndpointRecord,
  signal: AbortSignal,
): Promise<{ readonly record: EndpointRecord; readonly forget: () => Promise<void> } | undefined> {
  const { id, tenantId, revision } = record;
  checkTexts({ name: name ?? "", user_id: userId });
  const change = { id, tenantId, by, expected: revision, name: name ?? record.name };
  if (settings === undefined) {
    const renamed = await store.endpoints.update({ ...change, settings: record.settings });
    return renamed === undefined ? undefined : { record: renamed, forget: () => Promise.resolve() };
  }
  const installation = await getInstalled(store, tenantId, record.pluginId);
  const offer = await getOffer(store, installation);
  const owner = ownerOf(record, userId, offer);
  const current = await openCurrent(secrets, { owner, record, given: settings }, signal);
  const unmasked = unmaskSettings(settings, current, offer.fields);
  for (const key of Object.keys(settings)) if (unmasked[key] !== settings[key]) kept.add(key);
  const wanted = { ...unmasked, ...Object.fromEntries([...kept].map((key) => [key, current[key]])) };
  checkSettings(wanted, offer.fields);
  const sealed = await secrets.seal(owner, wanted, signal).catch(said("encrypt"));
  signal.throwIfAborted();
  const written = await store.endpoints.update({ ...change, settings: sealed });
  if (written === undefined) return undefined;
  return {
    record: written,
    forget: () => secrets.forget(owner, wanted, signal).catch(said("clear")),
  };
}

/** Secrets that can no longer be decrypted may be replaced, but only where none of them is sent back masked. */
async function openCurrent(
  secrets: SecretKeeper,
  {
    owner,
    record,
    given,
  }: { readonly owner: SettingsOwner; readonly record: EndpointRecord; readonly given: JsonMap },
  signal: AbortSignal,
): Promise<JsonMap> {
  try {
    return await secrets.open(owner, record.settings, signal);
  } catch (error) {
    const secret = secretNames(owner.fields);
    const isAnew = !Object.entries(given).some(([name, value]) => secret.has(name) && looksMasked(value));
    if (!isFault(error, "secret_unreadable") || !isAnew) return said("decrypt")(error);
    return Object.fromEntries(Object.entries(record.settings).filter(([name]) => !secret.has(name)));
  }
}

/** What the platform was asked to do, for the Dify door, which names it. */
export type PlatformWork = "encrypt" | "decrypt" | "clear";

/** Adds to a fault's context what was being done when it happened. */
function said(work: PlatformWork): (error: unknown) => never {
  return (error) => {
    if (!isFault(error)) throw error;
    const { code, message, details, context, cause } = error;
    throw new Fault(code, message, { details, context: { ...context, work }, cause });
  };
}

async function shownAll(
  deps: EndpointsDeps,
  records: readonly EndpointRecord[],
  signal: AbortSignal,
): Promise<ShownEndpoint[]> {
  const offers = new Map<string, Promise<EndpointOffer | undefined>>();
  const all: ShownEndpoint[] = [];
  for (let place = 0; place < records.length; place += AT_ONCE)
    all.push(
      ...(await Promise.all(
        records.slice(place, place + AT_ONCE).map((record) => shown(deps, record, signal, offers)),
      )),
    );
  return all;
}

/** Number of concurrent requests to the platform for one list. */
const AT_ONCE = 8;

async function shown(
  { store, secrets }: EndpointsDeps,
  record: EndpointRecord,
  signal: AbortSignal,
  offers: Map<string, Promise<EndpointOffer | undefined>> = new Map(),
): Promise<ShownEndpoint> {
  const { tenantId, pluginId } = record;
  const finding = offers.get(pluginId) ?? findOffer(store, tenantId, pluginId);
  offers.set(pluginId, finding);
  const offer = await finding;
  if (offer === undefined) return asShown(record, { offer, settings: {} });
  const { fields } = offer;
  try {
    const open = await secrets.open(ownerOf(record, "", offer), record.settings, signal);
    return asShown(record, { offer, settings: maskSettings(open, fields) });
  } catch (error) {
    const isOfThisOne = isFault(error, "secret_unreadable") || isFault(error, "platform_refused");
    if (!isOfThisOne) return said("decrypt")(error);
    const secret = secretNames(fields);
    const rest = Object.entries(record.settings).filter(([name]) => !secret.has(name));
    return { ...asShown(record, { offer, settings: Object.fromEntries(rest) }), cause: formatFault(error) };
  }
}

function asShown(
  { settings: _sealed, revision: _revision, ...record }: EndpointRecord,
  said: Pick<ShownEndpoint, "offer" | "settings">,
): ShownEndpoint {
  return { record, ...said, cause: undefined };
}

function ownerOf(at: EndpointAt, userId: string, offer: EndpointOffer): SettingsOwner {
  return { tenantId: at.tenantId, endpointId: at.id, userId, fields: offer.fields, declared: offer.settings };
}

type Rows = EndpointsDeps["store"];

async function getEndpoint(store: Rows, at: EndpointAt): Promise<EndpointRecord> {
  const record = await store.endpoints.find(at);
  if (record === undefined) throw endpointNotFound(at.id);
  return record;
}

/** The installation of a plugin, or of exactly that package. One that was never ready counts as missing. */
async function getInstalled(store: Rows, tenantId: TenantId, plugin: string): Promise<Installation> {
  const isIdentifier = plugin.includes("@");
  const { author, name } = isIdentifier ? parsePackageRef(plugin) : { author: "", name: "" };
  const pluginId = isIdentifier ? `${author}/${name}` : plugin;
  const found = await store.installations.findByPlugin(tenantId, pluginId);
  const isMeant = found !== undefined && (!isIdentifier || found.identifier === plugin);
  const isThere = isMeant && found.desired !== "removed" && (await store.installations.isPublished(found.id));
  if (isThere) return found;
  throw new Fault("installation_not_found", `The tenant has no installation of ${plugin}.`, {
    details: { field: "plugin_id", value: plugin, accepted: "a plugin that is installed" },
  });
}

async function getOffer(
  store: Rows,
  { identifier, pluginId }: Installation,
  { mayHave = () => true }: { readonly mayHave?: (declaration: DeclarationJson) => boolean } = {},
): Promise<EndpointOffer> {
  const declaration = (await store.packages.find(identifier))?.declaration;
  if (declaration !== undefined && !mayHave(declaration))
    throw new Fault("permission_denied", `The manifest of ${pluginId} does not ask for endpoints.`, {
      details: {
        field: "plugin_id",
        value: pluginId,
        accepted: "a plugin with resource.permission.endpoint",
      },
    });
  const offer = declaration === undefined ? undefined : readEndpointOffer(declaration);
  if (offer !== undefined) return offer;
  throw new Fault("operation_not_found", `The plugin ${pluginId} has no endpoints.`, {
    details: { field: "plugin_id", value: pluginId, accepted: "a plugin that declares endpoints" },
  });
}

async function findOffer(
  store: Rows,
  tenantId: TenantId,
  pluginId: string,
): Promise<EndpointOffer | undefined> {
  const installation = await store.installations.findByPlugin(tenantId, pluginId);
  if (installation === undefined || installation.desired === "removed") return undefined;
  const pkg = await store.packages.find(installation.identifier);
  return pkg === undefined ? undefined : readEndpointOffer(pkg.declaration);
}

function endpointNotFound(id: EndpointId): Fault {
  return new Fault("endpoint_not_found", `The tenant has no endpoint ${id}.`, {
    details: { field: "id", value: id, accepted: "the id of an endpoint of this tenant" },
  });
}

/** Widths of the daemon's columns, in characters. */
const TEXT_MAX = { name: 127, user_id: 64 };
const PLUGIN_ID_MAX = 64;

function checkTexts(texts: Readonly<Record<keyof typeof TEXT_MAX, string>>): void {
  for (const [field, max] of Object.entries(TEXT_MAX))
    checkLength(field, texts[field as keyof typeof TEXT_MAX], max);
}

function checkLength(field: string, text: string, max: number): void {
  const isStorable = text.isWellFormed() && !text.includes("\u0000");
  if (!isStorable || [...text].length > max)
    throw invalidInput(field, text, `text of at most ${max} characters`);
}

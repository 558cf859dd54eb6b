/** What a tenant does with the credentials of its providers. Their values are never returned. */
import type { Actor } from "../../domain/audit.ts";
import {
  assertCredentialName,
  CREDENTIAL_KINDS,
  type CredentialKind,
  type CredentialModel,
  credentialNotFound,
} from "../../domain/credential.ts";
import { type CredentialField, fillForm, readCredentialForms } from "../../domain/credential-form.ts";
import { Fault, invalidInput } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import type { JsonMap } from "../../domain/json.ts";
import type { Invoker } from "../../invocation/invoke.ts";
import type { Page, PageRequest } from "../../store/contracts/answers.ts";
import type { CredentialAt, CredentialFilter, CredentialRecord } from "../../store/contracts/credentials.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { Store } from "../../store/store.ts";
import type { SealKeys } from "../../util/sealed-text.ts";
import { sealCredentials } from "./sealed-credentials.ts";
import { validateCredentials } from "./validate.ts";

/** A credential as its tenant may see it. */
export type ShownCredential = Omit<CredentialRecord, "sealed">;

export interface NewCredentialRequest {
  readonly tenantId: TenantId;
  /** `author/plugin/provider` */
  readonly provider: string;
  /** Needed where the plugin has providers of several kinds with this name that take credentials. */
  readonly kind: CredentialKind | undefined;
  /** For one model alone. */
  readonly model: CredentialModel | undefined;
  readonly name: string;
  readonly credentials: JsonMap;
  readonly by: Actor;
}

/**
 * Faults beside those of the store: `installation_not_found` and `provider_not_found`, `invalid_input` for credentials
 * that do not fit the provider's form, `credentials_refused`, and those of a call. Nothing is kept unless the plugin
 * accepts it.
 */
export interface Credentials {
  create(request: NewCredentialRequest, signal: AbortSignal): Promise<ShownCredential>;
  get(at: CredentialAt): Promise<ShownCredential>;
  list(filter: CredentialFilter, page: PageRequest): Promise<Page<ShownCredential>>;
  replace(
    change: CredentialAt & { readonly credentials: JsonMap; readonly by: Actor },
    signal: AbortSignal,
  ): Promise<ShownCredential>;
  makeDefault(at: CredentialAt & { readonly by: Actor }): Promise<ShownCredential>;
  remove(at: CredentialAt & { readonly by: Actor }): Promise<void>;
}

export interface CredentialsDeps {
  readonly store: Pick<Store, "credentials" | "installations" | "packages">;
  readonly keys: SealKeys;
  readonly invoker: Pick<Invoker, "invoke">;
}

export function createCredentials(deps: CredentialsDeps): Credentials {
  const { store } = deps;
  return {
    create: (request, signal) => create(deps, request, signal),
    get: async (at) => shown(await getRecord(store, at)),
    list: async (filter, page) => {
      const { items, nextCursor } = await store.credentials.list(filter, page);
      return { items: items.map(shown), nextCursor };
    },
    replace: (change, signal) => replace(deps, change, signal),
    makeDefault: async (at) => shown(await store.credentials.makeDefault(at)),
    remove: (at) => store.credentials.remove(at),
  };
}

async function create(
  { store, keys, invoker }: CredentialsDeps,
  { tenantId, provider: fullName, kind: asked, model, name, credentials: given, by }: NewCredentialRequest,
  signal: AbortSignal,
): Promise<ShownCredential> {
  assertCredentialName(name);
  const [author = "", plugin = "", ...rest] = fullName.split("/");
  const [pluginId, provider] = [`${author}/${plugin}`, rest.join("/")];
  const { installation, pkg } = await getInstalled(store, { tenantId, pluginId, value: fullName });
  const kind = kindOf(pkg, provider, asked);
  const form = formOf(pkg, { kind, provider, model });
  const of = { tenantId, pluginId, kind, provider, model };
  const credentials = await accepted(invoker, { ...of, form, credentials: given, by }, signal);
  const id = store.credentials.newId();
  const record = await store.credentials.create({
    ...of,
    id,
    installationId: installation.id,
    name,
    fields: Object.keys(credentials).sort(),
    sealed: sealCredentials(keys, { tenantId, id }, credentials),
    by,
  });
  return shown(record);
}

async function replace(
  { store, keys, invoker }: CredentialsDeps,
  { credentials: given, by, ...at }: Parameters<Credentials["replace"]>[0],
  signal: AbortSignal,
): Promise<ShownCredential> {
  const record = await getRecord(store, at);
  const { id, tenantId, pluginId, kind, provider, model } = record;
  const value = `${pluginId}/${provider}`;
  const { pkg } = await getInstalled(store, { tenantId, pluginId, value });
  const form = formOf(pkg, { kind: kindOf(pkg, provider, kind), provider, model });
  const of = { tenantId, pluginId, kind, provider, model };
  const credentials = await accepted(invoker, { ...of, form, credentials: given, by }, signal);
  const sealed = sealCredentials(keys, { tenantId, id }, credentials);
  return shown(
    await store.credentials.replace({ ...at, fields: Object.keys(credentials).sort(), sealed, by }),
  );
}

const BYTES_MAX = 32_768;

/** The credentials as they are kept, once the plugin has accepted them. */
async function accepted(
  invoker: Pick<Invoker, "invoke">,
  { by, ...asked }: Omit<Parameters<typeof validateCredentials>[1], "requestId"> & { readonly by: Actor },
  signal: AbortSignal,
): Promise<JsonMap> {
  const credentials = fillForm(asked.credentials, asked.form);
  assertSize(credentials);
  const kept = await validateCredentials(invoker, { ...asked, credentials, requestId: by.requestId }, signal);
  signal.throwIfAborted();
  assertSize(kept);
  return kept;
}

function assertSize(credentials: JsonMap): void {
  const bytes = Buffer.byteLength(JSON.stringify(credentials));
  if (bytes > BYTES_MAX)
    throw invalidInput("credentials", `${bytes} bytes`, `at most ${BYTES_MAX} bytes of JSON`);
}

async function getInstalled(
  store: CredentialsDeps["store"],
  {
    tenantId,
    pluginId,
    value,
  }: { readonly tenantId: TenantId; readonly pluginId: string; readonly value: string },
): Promise<{ readonly installation: Installation; readonly pkg: StoredPackage }> {
  const installation = await store.installations.findByPlugin(tenantId, pluginId);
  const pkg = installation && (await store.packages.find(installation.identifier));
  if (installation !== undefined && pkg !== undefined) return { installation, pkg };
  throw new Fault("installation_not_found", `The tenant has no plugin ${pluginId}.`, {
    details: { field: "provider", value, accepted: "author/plugin/provider of an installed plugin" },
  });
}

function kindOf(pkg: StoredPackage, provider: string, asked: CredentialKind | undefined): CredentialKind {
  const kinds = CREDENTIAL_KINDS.filter((kind) =>
    pkg.providers.some((one) => one.kind === kind && one.name === provider),
  );
  const taking = kinds.filter((kind) => {
    const forms = readCredentialForms(pkg.declaration, kind);
    return forms.provider !== undefined || forms.own !== undefined;
  });
  const [only] = taking;
  if (asked !== undefined && taking.includes(asked)) return asked;
  if (asked === undefined && only !== undefined && taking.length === 1) return only;
  if (taking.length > 0) throw invalidInput("kind", asked, taking.join(", "));
  const names = pkg.providers.map(({ name }) => `${pkg.pluginId}/${name}`);
  const value = `${pkg.pluginId}/${provider}`;
  const shown = JSON.stringify(value);
  if (kinds.length === 0)
    throw new Fault("provider_not_found", `${pkg.pluginId} has no provider ${shown}.`, {
      details: { field: "provider", value, accepted: names },
    });
  throw new Fault("provider_not_found", `The provider ${shown} takes no credentials.`, {
    details: { field: "provider", value, accepted: "a provider that takes credentials" },
  });
}

function formOf(
  { pluginId, declaration }: StoredPackage,
  { kind, provider, model }: Pick<CredentialRecord, "kind" | "provider" | "model">,
): readonly CredentialField[] {
  const forms = readCredentialForms(declaration, kind);
  const form = model === undefined ? forms.provider : forms.own;
  if (form !== undefined) return form;
  const one = `${pluginId}/${provider}`;
  throw model === undefined
    ? invalidInput("model", undefined, `a model, because ${one} takes credentials for single models alone`)
    : invalidInput("model", model.model, `nothing, because ${one} takes no credentials for single models`);
}

async function getRecord(
  store: Pick<Store, "credentials">,
  { tenantId, id }: CredentialAt,
): Promise<CredentialRecord> {
  const record = await store.credentials.find({ tenantId, id });
  if (record === undefined) throw credentialNotFound(id);
  return record;
}

function shown({ sealed: _, ...rest }: CredentialRecord): ShownCredential {
  return rest;
}

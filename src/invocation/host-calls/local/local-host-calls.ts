/** Berth serves calls back itself: from the plugin's storage, and with tools and models of the tenant's plugins. */
import { Fault, invalidInput } from "../../../domain/fault.ts";
import { readJson } from "../../../domain/frame.ts";
import type { InvocationSink } from "../../../domain/invocation.ts";
import { indexOperations } from "../../../domain/operations/operations.ts";
import type { HostStorage } from "../../../storage/plugin-storage.ts";
import type { CredentialSource } from "../../credential-source.ts";
import { modelIn } from "../../credential-source.ts";
import type { HostCallAnswer } from "../answer.ts";
import type {
  HostCall,
  HostCallContext,
  LocalHostCalls,
  NestedInvoke,
  TenantInstallations,
} from "../contract.ts";
import { findProvider } from "./find-provider.ts";
import { operationFields } from "./operation-fields.ts";

export interface LocalHostCallsOptions {
  readonly storage: HostStorage;
  readonly credentials: CredentialSource;
  readonly settings: {
    /** Depth of nested calls: a plugin calls a plugin that calls a plugin. */
    readonly depthMax: number;
  };
}

export function createLocalHostCalls(options: LocalHostCallsOptions): LocalHostCalls {
  return new BerthHostCalls(options);
}

interface Connected {
  readonly invoke: NestedInvoke;
  readonly installations: TenantInstallations;
}

type Operation = NonNullable<ReturnType<ReturnType<typeof indexOperations>>>;

class BerthHostCalls implements LocalHostCalls {
  readonly name = "Berth";
  readonly #options: LocalHostCallsOptions;
  readonly #operations = indexOperations();
  #connected: Connected | undefined;

  constructor(options: LocalHostCallsOptions) {
    this.#options = options;
  }

  connect(invoke: NestedInvoke, installations: TenantInstallations): void {
    this.#connected = { invoke, installations };
  }

  async serve(call: HostCall, answer: HostCallAnswer): Promise<void> {
    const { local } = call.rule;
    if (local === undefined)
      throw new Fault(
        "permission_denied",
        `${call.type} is not available because no platform is configured to serve it.`,
      );
    if (this.#connected === undefined) throw new Error("calls back are not connected");
    // throws `plugin_protocol` where the request has too many values to parse
    const request = readJson(call.request) as Record<string, unknown>;
    if (local.kind === "storage") {
      const owner = this.#ownerOf(call.context, this.#connected);
      await answer.item(JSON.stringify(await this.#options.storage.serve(owner, request)));
      return;
    }
    const operation = this.#operations(local.type, local.action);
    if (operation === undefined) throw new Error(`${local.action} is no operation`);
    this.#checkDepth(call.context);
    const { credentials } = this.#options;
    const asked = { call, answer, type: local.type, operation, request };
    await callPlugin(asked, { ...this.#connected, credentials });
  }

  #ownerOf({ tenantId, catalog }: HostCallContext, { installations }: Connected) {
    return {
      tenantId,
      pluginId: catalog.pluginId,
      bytesMax: catalog.storageBytes,
      tenantIsBounded: installations.boundsDisk(tenantId),
    };
  }

  #checkDepth({ depth }: HostCallContext): void {
    const { depthMax } = this.#options.settings;
    if (depth < depthMax) return;
    throw new Fault("permission_denied", `Plugins can call each other at most ${depthMax} levels deep.`);
  }
}

interface PluginCall {
  readonly call: HostCall;
  readonly answer: HostCallAnswer;
  readonly type: "tool" | "model";
  readonly operation: Operation;
  readonly request: Readonly<Record<string, unknown>>;
}

async function callPlugin(
  { call: { context }, answer, type, operation, request }: PluginCall,
  { invoke, installations, credentials: source }: Connected & Pick<LocalHostCallsOptions, "credentials">,
): Promise<void> {
  const { tenantId, userId, requestId } = context;
  const found = findProvider(installations.listOfTenant(tenantId), type, request["provider"]);
  const { pluginId, provider } = found;
  const field = "credential_id";
  const credentials = await source.find({
    ...{ tenantId, pluginId, kind: type, provider, need: found.credentials, field },
    named: namedIn(request, field),
    model: modelIn({ ...operation.defaults, ...request }),
  });
  if (context.signal.aborted) return;
  const fields = operationFields(type, request, { provider, userId, credentials });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: unknown) => {
    nested.detach();
    reject(error);
  };
  const sink: InvocationSink = {
    get bufferedBytes() {
      return answer.bufferedBytes;
    },
    started: () => undefined,
    item: (data) => {
      try {
        answer.item(data.text)?.catch(fail);
      } catch (error) {
        fail(error);
      }
    },
    end: (end) => (end.ok ? resolve() : reject(end.fault)),
  };
  const nested = invoke(
    {
      tenantId,
      pluginId,
      operation,
      content: { form: "fields", fields, text: JSON.stringify(fields) },
      timeoutMs: context.remainingMs,
      requestId,
    },
    sink,
    context.depth + 1,
  );
  const onGone = () => {
    nested.detach();
    resolve();
  };
  context.signal.addEventListener("abort", onGone, { once: true });
  await promise.finally(() => context.signal.removeEventListener("abort", onGone));
}

function namedIn(request: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const named = request[field] ?? undefined;
  if (named === undefined || typeof named === "string") return named;
  throw invalidInput(field, named, "the name or id of a credential, or null");
}

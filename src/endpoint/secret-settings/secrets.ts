/** The secrets among an Endpoint's settings: whoever keeps them, they are never stored as they are. */
import type { EndpointId, SettingField } from "../../domain/endpoint.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { JsonMap } from "../../domain/json.ts";

/** Whose settings they are, and which of them are secrets. */
export interface SettingsOwner {
  readonly tenantId: TenantId;
  readonly endpointId: EndpointId;
  /** Who asks, as the platform knows its users; empty where nobody does. */
  readonly userId: string;
  readonly fields: readonly SettingField[];
  /** The fields as the Declaration has them: what the platform is told. */
  readonly declared: readonly unknown[];
}

/**
 * Settings without a secret among their fields come back as they are, and nobody is asked. Failures:
 * `platform_unreachable` and `platform_refused` of the platform where it keeps them, `secret_unreadable` for what cannot
 * be opened here.
 */
export interface SecretKeeper {
  /** The settings as they may be stored. */
  seal(owner: SettingsOwner, settings: JsonMap, signal: AbortSignal): Promise<JsonMap>;
  /** The settings as the plugin gets them. */
  open(owner: SettingsOwner, stored: JsonMap, signal: AbortSignal): Promise<JsonMap>;
  /** Resolves when nobody keeps an earlier value of them in a cache. */
  forget(owner: SettingsOwner, settings: JsonMap, signal: AbortSignal): Promise<void>;
}

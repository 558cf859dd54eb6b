/** The secrets among an endpoint's settings. They are never stored in plain text. */
import type { EndpointId, SettingField } from "../../domain/endpoint.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { JsonMap } from "../../domain/json.ts";

/** Whose settings they are, and which fields are secrets. */
export interface SettingsOwner {
  readonly tenantId: TenantId;
  readonly endpointId: EndpointId;
  /** The user who asks, as the platform knows its users; empty where there is none. */
  readonly userId: string;
  readonly fields: readonly SettingField[];
  /** The fields exactly as declared, for the platform. */
  readonly declared: readonly unknown[];
}

/**
 * Settings without a secret field are returned unchanged, without any request. Faults: `platform_unavailable` and
 * `platform_refused` where the platform holds the secrets, `secret_unreadable` for one that cannot be decrypted here.
 */
export interface SecretKeeper {
  /** The settings as they may be stored. */
  seal(owner: SettingsOwner, settings: JsonMap, signal: AbortSignal): Promise<JsonMap>;
  /** The settings as the plugin gets them. */
  open(owner: SettingsOwner, stored: JsonMap, signal: AbortSignal): Promise<JsonMap>;
  /** Resolves when no cache holds an earlier value of them. */
  forget(owner: SettingsOwner, settings: JsonMap, signal: AbortSignal): Promise<void>;
}

/** The use cases and settings of the HTTP doors. */
import type { EgressPolicy } from "../domain/egress.ts";
import type { LimitsPolicy } from "../domain/limits.ts";
import type { EndpointDirectory } from "../endpoint/endpoint-directory.ts";
import type { Endpoints } from "../endpoint/endpoints.ts";
import type { Batches } from "../installation/batch/batches.ts";
import type { InstallationRequests, PackageUploads, TaskWatch } from "../installation/contracts.ts";
import type { Credentials } from "../installation/credentials/credentials.ts";
import type { DiskCare } from "../installation/disk/disk-care.ts";
import type { BundleUploads } from "../installation/packages/bundle-uploads.ts";
import type { PackageAssets } from "../installation/packages/package-assets.ts";
import type { PackageDecoder } from "../installation/packages/package-decoder.ts";
import type { PackageTexts } from "../installation/packages/package-texts.ts";
import type { InstallationChanges } from "../installation/requests/installation-changes.ts";
import type { Tenants } from "../installation/tenants.ts";
import type { PackageTransfers } from "../installation/transfer/contracts.ts";
import type { Trust } from "../installation/trust/trust.ts";
import type { PluginVariables } from "../installation/variables.ts";
import type { CredentialSource } from "../invocation/credential-source.ts";
import type { Invoker } from "../invocation/invoke.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics/metrics.ts";
import type { RuntimeLogs } from "../runtime/runtimes.ts";
import type { Store } from "../store/store.ts";
import type { BodySettings } from "./bodies/body-reader.ts";
import type { DifyDoorSettings } from "./dify/door.ts";
import type { HookSettings } from "./hooks/hooks.ts";
import type { ReadDoctorReport } from "./routes/doctor/report.ts";
import type { HealthParts, ProcessCounts } from "./routes/health/health.ts";
import type { EntitySettings } from "./routes/installations/entity.ts";
import type { PermissionSettings } from "./routes/installations/permissions.ts";
import type { InvokeSettings } from "./routes/invocations/invoke.ts";
import type { DebugDoor } from "./routes/tenants/debugging-key.ts";

export interface HttpAppSettings
  extends InvokeSettings,
    EntitySettings,
    PermissionSettings,
    HookSettings,
    BodySettings {
  readonly version: string;
  /** The operator's platform version; packages that need a newer one are shown with a warning. */
  readonly platformVersion: string | undefined;
  /** Bytes of a package, packed or unpacked. */
  readonly packageBytesMax: number;
  /** Bytes of JSON bodies of control routes. */
  readonly jsonBytesMax: number;
  /** How often a comment line is sent on quiet streams. */
  readonly pingMs: number;
  /** How long `/health/ready` waits for each part. */
  readonly healthTimeoutMs: number;
  /** From the complete request to its answer, on routes that do not stream. */
  readonly answerTimeoutMs: number;
  /** The same for exports and imports, which transfer whole images. */
  readonly transferTimeoutMs: number;
  readonly dify: Pick<DifyDoorSettings, "key" | "adminKey">;
}

export interface HttpAppOptions {
  readonly uploads: PackageUploads;
  readonly bundles: BundleUploads;
  readonly texts: PackageTexts;
  readonly decoder: PackageDecoder;
  readonly assets: PackageAssets;
  readonly requests: InstallationRequests;
  readonly changes: InstallationChanges;
  readonly variables: PluginVariables;
  readonly credentials: Credentials;
  readonly credentialSource: CredentialSource;
  readonly batches: Batches;
  readonly tenants: Tenants;
  readonly disk: DiskCare;
  readonly readDoctorReport: ReadDoctorReport;
  readonly trust: Trust;
  readonly taskWatch: TaskWatch;
  readonly transfers: PackageTransfers;
  readonly store: Store;
  readonly invoker: Invoker;
  readonly endpoints: Endpoints;
  readonly endpointDirectory: EndpointDirectory;
  readonly logs: RuntimeLogs;
  readonly keyring: Keyring;
  /** Undefined: there is no port for plugins that are debugged. */
  readonly debug: DebugDoor | undefined;
  readonly limitsPolicy: LimitsPolicy;
  /** The most that any installation may reach. */
  readonly egressCeiling: EgressPolicy;
  /** What must answer for the process to be ready. */
  readonly parts: HealthParts;
  readonly processes: ProcessCounts;
  /** Undefined: metrics are off. */
  readonly metrics: Metrics | undefined;
  readonly log: Log;
  readonly settings: HttpAppSettings;
}

/** Settings of the HTTP server in tests: bounds that a test can reach, waits that it can afford. */
import type { PermissionDefault } from "../../../src/domain/permission.ts";
import type { HttpAppOptions } from "../../../src/http/options.ts";
import type { ServeSettings } from "../../../src/http/server/serve.ts";
import { DIFY_ADMIN_KEY, DIFY_KEY } from "../samples/callers.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Those that a test may choose. */
export interface DoorSettings {
  permissionDefault: PermissionDefault;
  startTimeoutMs: number;
  idleTimeoutMs: number;
  overrunGraceMs: number;
  callerBufferBytesMax: number;
  callersBufferBytesMax: number;
  queueMax: number;
  flushTimeoutMs: number;
  drainMs: number;
  pingMs: number;
  documentBytesMax: number;
  answerTimeoutMs: number;
  transferTimeoutMs: number;
  dify: { key: string | undefined; adminKey: string | undefined };
  hookBodyBytesMax: number | undefined;
  hookBodiesBytesMax: number;
  refreshTimeoutMs: number;
}

const DEFAULTS = {
  permissionDefault: "grant",
  startTimeoutMs: 5000,
  idleTimeoutMs: 60_000,
  overrunGraceMs: 1000,
  callerBufferBytesMax: 4 * MIB,
  callersBufferBytesMax: 256 * MIB,
  queueMax: 100,
  drainMs: 1000,
  pingMs: 15_000,
  flushTimeoutMs: 1000,
  documentBytesMax: 32 * MIB,
  answerTimeoutMs: 10_000,
  transferTimeoutMs: 10_000,
  dify: { key: DIFY_KEY, adminKey: DIFY_ADMIN_KEY },
  hookBodyBytesMax: MIB,
  hookBodiesBytesMax: 4 * MIB,
  refreshTimeoutMs: 1000,
} satisfies DoorSettings;

/** Of the HTTP app and of the calls behind it. */
export function doorSettings(
  changes: Partial<DoorSettings> = {},
): DoorSettings & HttpAppOptions["settings"] & { buildWaitersMax: number } {
  return {
    ...DEFAULTS,
    declarationBytesMax: 8 * MIB,
    publicUrl: undefined,
    tenantBodiesBytesMax: 2 * MIB,
    bodiesBytesMax: 3 * MIB,
    buildWaitersMax: 2,
    platformVersion: "1.9.0",
    version: "0.1.0",
    packageBytesMax: MIB,
    jsonBytesMax: 64 * KIB,
    healthTimeoutMs: 200,
    invokeBytesMax: MIB,
    ...changes,
  };
}

/** Of the server on a socket. */
export function serveSettings({ flushTimeoutMs }: Pick<DoorSettings, "flushTimeoutMs">): ServeSettings {
  return {
    headerBytesMax: 16_384,
    headersMax: 100,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 60_000,
    bodyWindowMs: 10_000,
    bodyWindowBytesMin: 1024,
    connectionsMax: 10_000,
    pipelinedMax: 16,
    requestsPerConnectionMax: 10_000,
    keepAliveTimeoutMs: 5000,
    stallTimeoutMs: 10_000,
    flushTimeoutMs,
    lingerMs: 1_000,
    checkMs: 50,
    drainDelayMs: 0,
    idleLingerMs: 0,
    drainMs: 200,
    lastWordMs: 200,
  };
}

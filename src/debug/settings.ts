/** Bounds on what connects to the debug port. */
export interface DebugSettings {
  /** Connections at the same time, in all. */
  readonly connectionsMax: number;
  /** Connected plugins of one tenant. */
  readonly tenantConnectionsMax: number;
  /** From the connection to a key that is known. */
  readonly handshakeMs: number;
  /** From there to the end of the declarations. */
  readonly registrationMs: number;
  /** A plugin without a heartbeat for so long is disconnected. */
  readonly silenceMs: number;
  /** Longest line of a plugin once it is connected. */
  readonly frameBytesMax: number;
}

/** Connections that have not shown a key yet: one more is refused. */
export const STRANGERS_MAX = 32;
/** The line with the key. */
export const HANDSHAKE_BYTES_MAX = 4_096;
/** All lines of the declarations together, in JSON; the event loop parses them. */
export const DECLARATION_BYTES_MAX = 4 * 1_048_576;
/** Contents of the assets together, and their number. */
export const ASSET_BYTES_MAX = 50 * 1_048_576;
export const ASSETS_MAX = 1_000;
/** A key is valid for so long after it was issued, asked for again or used. */
export const KEY_MS = 2 * 3_600_000;
/** How often connections are compared with their rows, and rows with the processes that hold them. */
export const PASS_MS = 5_000;

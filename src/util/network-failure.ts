import { errorCode } from "./error-code.ts";

/** Why a connection failed. */
export interface NetworkFailure {
  readonly reason: string;
  /** True where waiting does not help: the configuration must change. */
  readonly isFinal: boolean;
}

const LATER = { isFinal: false };
const NEVER = { isFinal: true };

const BY_CODE: Readonly<Record<string, NetworkFailure>> = {
  ECONNREFUSED: { reason: "connection refused", ...LATER },
  ECONNRESET: { reason: "the server closed the connection", ...LATER },
  EPIPE: { reason: "the server closed the connection", ...LATER },
  ENOTFOUND: { reason: "unknown host", ...LATER },
  EAI_AGAIN: { reason: "the host name could not be resolved", ...LATER },
  EHOSTUNREACH: { reason: "host unreachable", ...LATER },
  ENETUNREACH: { reason: "network unreachable", ...LATER },
  ETIMEDOUT: { reason: "timed out without an answer", ...LATER },
  ENOENT: { reason: "there is no such socket", ...LATER },
  EACCES: { reason: "this user may not open the socket", ...NEVER },
  EPERM: { reason: "this user may not open the socket", ...NEVER },
  EPROTO: { reason: "TLS: the server does not speak it there", ...NEVER },
  CERT_HAS_EXPIRED: { reason: "TLS: the server's certificate has expired", ...NEVER },
  CERT_NOT_YET_VALID: { reason: "TLS: the server's certificate is not valid yet", ...NEVER },
  CERT_REVOKED: { reason: "TLS: the server's certificate is revoked", ...NEVER },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    reason: "TLS: the server's certificate is for another host name",
    ...NEVER,
  },
};

/** OpenSSL's codes for a chain that ends at an untrusted authority. */
const UNTRUSTED = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
  "INVALID_CA",
  "CERT_UNTRUSTED",
]);

/** True where the host name cannot be resolved here; it may be elsewhere. */
export function isNameUnknown(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "ENODATA";
}

/** Explains Node's and OpenSSL's error codes, also those of causes; undefined for other errors. */
export function explainNetworkFailure(error: unknown): NetworkFailure | undefined {
  const seen = new Set<unknown>();
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    const code = "code" in at && typeof at.code === "string" ? at.code : undefined;
    if (code === undefined) continue;
    if (UNTRUSTED.has(code))
      return { reason: `TLS: the server's certificate is not trusted (${code})`, ...NEVER };
    // A refused client certificate is an alert; a server without TLS answers with something else.
    if (code.startsWith("ERR_SSL_")) return { reason: `TLS: ${at.message.trim()} (${code})`, ...NEVER };
    const known = BY_CODE[code];
    if (known !== undefined) return { ...known, reason: `${known.reason} (${code})` };
  }
  return undefined;
}

/** Why a request failed, in words where they are known, else as whatever threw it says. */
export function failureReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return explainNetworkFailure(error)?.reason ?? text;
}

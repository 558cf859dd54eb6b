import { errorCode } from "./error-code.ts";

/** Why a connection could not be made. */
export interface NetworkFailure {
  readonly reason: string;
  /** True where waiting mends nothing: the one who connects has to be told something else. */
  readonly isFinal: boolean;
}

const LATER = { isFinal: false };
const NEVER = { isFinal: true };

const BY_CODE: Readonly<Record<string, NetworkFailure>> = {
  ECONNREFUSED: { reason: "connection refused", ...LATER },
  ECONNRESET: { reason: "the server closed the connection", ...LATER },
  EPIPE: { reason: "the server closed the connection", ...LATER },
  ENOTFOUND: { reason: "unknown host", ...LATER },
  EAI_AGAIN: { reason: "the host's name could not be looked up", ...LATER },
  EHOSTUNREACH: { reason: "host unreachable", ...LATER },
  ENETUNREACH: { reason: "network unreachable", ...LATER },
  ETIMEDOUT: { reason: "time-out, nobody answered", ...LATER },
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

/** What OpenSSL says when the chain ends at an authority that is not trusted here. */
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

/** True where the name of a host means nothing here: it may mean something elsewhere. */
export function isNameUnknown(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "ENODATA";
}

/** Reads the code that Node and OpenSSL give, through wrappers; undefined for what is no failure of the network. */
export function explainNetworkFailure(error: unknown): NetworkFailure | undefined {
  const seen = new Set<unknown>();
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    const code = "code" in at && typeof at.code === "string" ? at.code : undefined;
    if (code === undefined) continue;
    if (UNTRUSTED.has(code))
      return { reason: `TLS: the server's certificate is not trusted (${code})`, ...NEVER };
    // A client certificate that the server refuses is an alert; a server without TLS answers something else.
    if (code.startsWith("ERR_SSL_")) return { reason: `TLS: ${at.message.trim()} (${code})`, ...NEVER };
    const known = BY_CODE[code];
    if (known !== undefined) return { ...known, reason: `${known.reason} (${code})` };
  }
  return undefined;
}

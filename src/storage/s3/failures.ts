/**
 * What a failed request means, read from codes only. Only the texts below leave this folder: a server's own message may
 * repeat what was sent to it.
 */
import { S3ServiceException } from "@aws-sdk/client-s3";
import { explainNetworkFailure } from "../../util/network-failure.ts";

export interface BucketFailure {
  /**
   * `passing`: the same request may succeed later without any change. `unsupported`: the server refuses the request
   * itself, whoever sends it.
   */
  readonly kind: "passing" | "lasting" | "missing" | "exists" | "unsupported";
  /** Half a sentence, with the code in brackets. */
  readonly why: string;
}

const LASTING: Readonly<Record<string, string>> = {
  InvalidAccessKeyId: "the server does not know the access key",
  XAdminUserNotFound: "the server does not know the access key",
  SignatureDoesNotMatch: "the secret key does not match the access key",
  AccessDenied: "the credentials do not permit it",
  ExpiredToken: "the credentials have expired",
  InvalidToken: "the server refuses the credentials",
  CredentialsProviderError: "no credentials were found",
  NoSuchBucket: "there is no such bucket",
  InvalidBucketName: "this is not the name of a bucket",
  PermanentRedirect: "the bucket is in another region",
  AuthorizationHeaderMalformed: "the bucket is in another region than the configured one",
  IllegalLocationConstraintException: "the bucket is in another region than the configured one",
  SecondLevelDomainForbidden:
    "the server accepts the bucket's name only in front of the host's (BERTH_S3_PATH_STYLE=no)",
  RequestTimeTooSkewed: "this machine's clock differs from the server's",
};

const PASSING: Readonly<Record<string, string>> = {
  TimeoutError: "it did not answer in time",
  ConditionalRequestConflict: "another request changes the same object",
  RequestTimeout: "it did not receive the bytes in time",
  IncompleteBody: "it did not receive all bytes",
  BadDigest: "it received other bytes than were sent",
  XAmzContentSHA256Mismatch: "it received other bytes than were sent",
};

/** How servers answer a header that they do not know; the codes differ from one to the other. */
const UNSUPPORTED_STATUS = new Set([400, 405, 501]);

/** Any other 404 is about the way to the object, not about the object. */
const MISSING = new Set(["NoSuchKey", "NotFound"]);

/** Too slow, conflicting, too many. */
const PASSING_STATUS = new Set([408, 409, 429]);

export function readFailure(error: unknown): BucketFailure {
  const status = statusOf(error);
  const codes = codesOf(error);
  const known = (table: Readonly<Record<string, string>>) => codes.find((code) => Object.hasOwn(table, code));
  const lasting = known(LASTING);
  if (lasting !== undefined) return { kind: "lasting", why: `${LASTING[lasting]} (${lasting})` };
  const network = explainNetworkFailure(error);
  if (network !== undefined) return { kind: network.isFinal ? "lasting" : "passing", why: network.reason };
  const passing = known(PASSING);
  if (passing !== undefined) return { kind: "passing", why: `${PASSING[passing]} (${passing})` };
  const why = `it answered ${[status, ...codes].filter((part) => part !== undefined).join(" ")}`;
  if (status === 412) return { kind: "exists", why };
  if (status !== undefined && UNSUPPORTED_STATUS.has(status)) return { kind: "unsupported", why };
  if (codes.some((code) => MISSING.has(code))) return { kind: "missing", why };
  if (status === 401 || status === 403)
    return { kind: "lasting", why: `${LASTING["AccessDenied"]} (${status})` };
  if (status === 301) return { kind: "lasting", why: `${LASTING["PermanentRedirect"]} (${status})` };
  const isWrong = status !== undefined && status >= 400 && status < 500 && !PASSING_STATUS.has(status);
  if (isWrong) return { kind: "lasting", why };
  return { kind: "passing", why: status === undefined ? `the request failed (${codes.join(", ")})` : why };
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof S3ServiceException) return error.$metadata.httpStatusCode;
  // Not an S3 answer, for example the error page of a gateway.
  if (typeof error !== "object" || error === null || !("$metadata" in error)) return undefined;
  const { $metadata: metadata } = error;
  if (typeof metadata !== "object" || metadata === null || !("httpStatusCode" in metadata)) return undefined;
  return typeof metadata.httpStatusCode === "number" ? metadata.httpStatusCode : undefined;
}

/** Codes of the error and of its causes. */
function codesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  const code = "code" in error && typeof error.code === "string" ? [error.code] : [];
  return [...code, error.name, ...codesOf(error.cause)].filter((name) => name !== "Error");
}

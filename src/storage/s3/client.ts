/**
 * The vendor's client, which only this folder knows. It only signs and sends: retries are made elsewhere, because it
 * cannot send a stream a second time, and everything that it would take from the environment, except credentials, is
 * fixed, so that only Berth's settings count.
 */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { PutObjectCommand, type PutObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import type { FileDigest } from "./file-digest.ts";
import type { BucketSettings } from "./settings.ts";

/** Metadata field with the digest of what was stored. */
export const DIGEST_FIELD = "berth-sha256";
const SOCKETS_MAX = 50;

/** Optional headers of a put; servers of other vendors refuse or ignore some of them. */
export interface PutHeaders {
  /** `x-amz-checksum-sha256`: the server compares it with the bytes, and stores it. */
  readonly checksum: boolean;
  /** `If-None-Match: *`: the server stores the object only where there is none. */
  readonly condition: boolean;
}

export interface PutRequest extends Pick<PutObjectCommandInput, "Bucket" | "Key" | "Body" | "ContentType"> {
  readonly digest: FileDigest;
  readonly headers: PutHeaders;
}

/**
 * A put whose signature contains the digest of its body, so that every server verifies the bytes. By itself the client
 * declares a stream as unsigned, or sends it in signed chunks; some servers refuse the one or the other.
 */
export function putCommand({ digest, headers, ...object }: PutRequest): PutObjectCommand {
  const command = new PutObjectCommand({
    ...object,
    ContentLength: digest.bytes,
    Metadata: { [DIGEST_FIELD]: digest.sha256 },
    ...(headers.checksum ? { ChecksumSHA256: Buffer.from(digest.sha256, "hex").toString("base64") } : {}),
    ...(headers.condition ? { IfNoneMatch: "*" } : {}),
  });
  command.middlewareStack.add(
    (next) => (args) => {
      const { headers: sent } = args.request as { readonly headers: Record<string, string> };
      sent["x-amz-content-sha256"] = digest.sha256;
      return next(args);
    },
    { step: "build" },
  );
  return command;
}

export function createClient(settings: BucketSettings): S3Client {
  const agent = { keepAlive: true, maxSockets: SOCKETS_MAX };
  const { caBundle, credentials } = settings;
  return new S3Client({
    endpoint: settings.endpoint,
    region: settings.region,
    forcePathStyle: settings.pathStyle,
    ...(credentials === undefined ? {} : { credentials }),
    maxAttempts: 1,
    logger: SILENT,
    // Other vendors' servers do not know checksums after the body.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    disableS3ExpressSessionAuth: true,
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs,
      socketTimeout: settings.idleTimeoutMs,
      // With agents of its own the client uses no proxy, whatever the environment says.
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({
        ...agent,
        ...(caBundle === undefined ? {} : { ca: caBundle }),
      }),
      logger: SILENT,
    },
  });
}

const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}

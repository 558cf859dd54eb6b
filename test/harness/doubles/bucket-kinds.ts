/** What buckets of other vendors refuse or ignore of a put, as their documentation and their users' reports say. */
import type { SeenRequest, Turn } from "../servers/s3-front.ts";

export interface BucketKind {
  readonly name: string;
  /** Undefined: it takes the request. */
  readonly refuses: (seen: SeenRequest) => Turn | undefined;
  /** What a start finds out. */
  readonly accepted: { readonly checksum: boolean; readonly condition: boolean };
}

export const BUCKET_KINDS: readonly BucketKind[] = [
  {
    name: "knows no conditions (501 NotImplemented, as Alibaba's OSS)",
    refuses: ({ headers }) => when("if-none-match" in headers, 501, "NotImplemented"),
    accepted: { checksum: true, condition: false },
  },
  {
    name: "knows no checksums (400 InvalidRequest, as Backblaze's B2)",
    refuses: (seen) => when(hasChecksum(seen), 400, "InvalidRequest"),
    accepted: { checksum: false, condition: true },
  },
  {
    name: "knows no checksums (501 NotImplemented, as Cloudflare's R2 did)",
    refuses: (seen) => when(hasChecksum(seen), 501, "NotImplemented"),
    accepted: { checksum: false, condition: true },
  },
  {
    name: "knows neither, and answers with a code of its own",
    refuses: (seen) => when(hasChecksum(seen) || "if-none-match" in seen.headers, 400, "UnsupportedHeader"),
    accepted: { checksum: false, condition: false },
  },
  {
    name: "knows neither signed chunks nor unsigned bodies",
    refuses: ({ method, headers }) =>
      when(
        method === "PUT" &&
          ("transfer-encoding" in headers ||
            "content-encoding" in headers ||
            "x-amz-trailer" in headers ||
            !/^[0-9a-f]{64}$/.test(String(headers["x-amz-content-sha256"]))),
        400,
        "InvalidArgument",
      ),
    accepted: { checksum: true, condition: true },
  },
];

function when(refused: boolean, answer: number, code: string): Turn | undefined {
  return refused ? { answer, code } : undefined;
}

function hasChecksum({ headers }: SeenRequest): boolean {
  return Object.keys(headers).some((name) => /^x-amz-(?:sdk-)?checksum-/.test(name));
}

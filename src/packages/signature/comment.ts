import { z } from "zod";

/** The signature in the comment of a signed archive. */
export interface ArchiveSignature {
  /** Standard base64 with its padding. */
  readonly signature: string;
  /** Unix time in seconds, part of what is signed. */
  readonly time: number;
}

const Comment = z.object({
  signature: z.string().refine(isBase64),
  time: z.int().min(0),
});

/** Undefined for a comment that is no signature: such an archive is unsigned. */
export function parseSignatureComment(comment: Buffer): ArchiveSignature | undefined {
  try {
    const { success, data } = Comment.safeParse(JSON.parse(comment.toString("utf8")));
    return success ? data : undefined;
  } catch {
    return undefined;
  }
}

/** Byte for byte as other tools write and read it. */
export function formatSignatureComment({ signature, time }: ArchiveSignature): string {
  return `{"signature":${JSON.stringify(signature)},"time":${time}}`;
}

/** Accepts the canonical spelling only: a decoder that ignores odd characters would accept a changed comment. */
function isBase64(text: string): boolean {
  return text !== "" && Buffer.from(text, "base64").toString("base64") === text;
}

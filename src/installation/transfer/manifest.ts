/** The format of an export: a tar with these entries in this order. The first one has the digests of all others. */
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";

export const MANIFEST = "berth-export.json";
export const DECLARATION = "declaration.json";
export const SIGNATURES = "signatures.json";
export const PACKAGE = "package.difypkg";
export const IMAGE = "image.tar";
export const CONTENTS = [DECLARATION, SIGNATURES, PACKAGE, IMAGE] as const;
export type ContentName = (typeof CONTENTS)[number];

export const FORMAT_VERSION = 1;

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const ImageId = z.string().regex(/^sha256:[0-9a-f]{64}$/);

const Content = z.object({ name: z.enum(CONTENTS), bytes: z.number().int().nonnegative(), sha256: Sha256 });
export type Content = z.infer<typeof Content>;

/** Unknown fields come from later releases whose format this one can read. */
const Manifest = z.object({
  format: z.literal("berth-export"),
  version: z.literal(FORMAT_VERSION),
  exported_at: z.iso.datetime(),
  identifier: z.string().min(1).max(255),
  image: z.object({
    id: ImageId,
    arch: z.string().min(1).max(16),
    /** Undefined where the exported image had itself been imported. */
    runtime_image_id: ImageId.optional(),
    builder_version: z.string().max(16),
  }),
  contents: z.array(Content).length(CONTENTS.length),
});
export type ExportManifest = z.infer<typeof Manifest>;

export const StoredSignatures = z
  .array(
    z.object({
      keyId: z.string().max(64),
      time: z.number().int().nonnegative(),
      signature: z.string().max(4096),
      entries: z.array(z.string().max(4096)).max(100_000),
    }),
  )
  .max(1000);

export function parseManifest(bytes: Buffer): ExportManifest {
  const { success, data, error } = Manifest.safeParse(parseJson(bytes, MANIFEST));
  if (!success) {
    const [issue] = error.issues;
    throw exportInvalid(`${MANIFEST} is not one of version ${FORMAT_VERSION}`, issue?.path.join("."));
  }
  if (data.contents.some(({ name }, index) => name !== CONTENTS[index]))
    throw exportInvalid(`${MANIFEST} does not list ${CONTENTS.join(", ")}`, "contents");
  return data;
}

export function parseJson(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    throw exportInvalid(`${name} is not JSON`);
  }
}

export function exportInvalid(what: string, value?: unknown): Fault {
  return new Fault("export_invalid", `This is not an export, or it is damaged: ${what}.`, {
    details: {
      field: "body",
      ...(value === undefined ? {} : { value }),
      accepted: "a file that `berth export` wrote",
    },
  });
}

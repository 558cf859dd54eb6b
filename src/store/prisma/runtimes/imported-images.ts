import type { ImportedImage, ImportedImageRows } from "../../contracts/imported-images.ts";
import { type Database, jsonValue } from "../client/database.ts";
import type * as rows from "../generated/client.ts";

export function createImportedImageRows(db: Database): ImportedImageRows {
  return {
    find: (checksum, arch) =>
      db.run(async (prisma) => {
        const row = await prisma.importedImage.findUnique({ where: { checksum_arch: { checksum, arch } } });
        return row === null ? undefined : toImportedImage(row);
      }),
    put: ({ checksum, arch, imageKey, origin }) =>
      db.run(async (prisma) => {
        const data = { imageKey, origin: jsonValue(origin) };
        await prisma.importedImage.upsert({
          where: { checksum_arch: { checksum, arch } },
          create: { checksum, arch, ...data },
          update: data,
        });
      }),
  };
}

function toImportedImage(row: rows.ImportedImage): ImportedImage {
  return {
    checksum: row.checksum,
    arch: row.arch,
    imageKey: row.imageKey,
    origin: row.origin as unknown as ImportedImage["origin"],
    createdAt: row.createdAt,
  };
}

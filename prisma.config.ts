import { defineConfig } from "prisma/config";

/** For `prisma generate` and `prisma format` alone: migrations are applied by the store itself at start. */
export default defineConfig({ schema: "prisma/schema.prisma" });

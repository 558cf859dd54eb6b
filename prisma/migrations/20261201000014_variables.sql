-- Environment variables of the plugin of one installation, and what its pool starts with; secrets are encrypted.
-- NULL: none.
ALTER TABLE "berth_installations" ADD COLUMN "variables" jsonb;
ALTER TABLE "berth_pools" ADD COLUMN "variables" jsonb;

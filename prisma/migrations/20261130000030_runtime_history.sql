-- Whose Runtime it was and of what: an Installation's history outlives the pools that it had.
ALTER TABLE "berth_runtimes" ADD COLUMN "tenant_id" uuid;
ALTER TABLE "berth_runtimes" ADD COLUMN "plugin_id" varchar(255);
ALTER TABLE "berth_runtimes" ADD COLUMN "identifier" varchar(255);
UPDATE "berth_runtimes" r SET "tenant_id" = p."tenant_id", "plugin_id" = p."plugin_id", "identifier" = p."identifier"
  FROM "berth_pools" p WHERE p."key" = r."pool_key";
CREATE INDEX "berth_runtimes_plugin_id_started_at_idx" ON "berth_runtimes" ("plugin_id", "started_at");
CREATE INDEX "berth_runtimes_ended_at_idx" ON "berth_runtimes" ("ended_at");

-- A task on a whole tenant has no installation.
ALTER TABLE "berth_tasks" ALTER COLUMN "installation_id" DROP NOT NULL;
ALTER TABLE "berth_tasks" ALTER COLUMN "identifier" DROP NOT NULL;

-- Without scopes: a key of a release that knew none, which may do all but manage keys and tenants.
ALTER TABLE "berth_keys" ADD COLUMN "scopes" jsonb;
ALTER TABLE "berth_keys" ADD COLUMN "expires_at" timestamptz(6);
ALTER TABLE "berth_keys" ADD COLUMN "last_used_at" timestamptz(6);
CREATE INDEX "berth_keys_tenant_id_idx" ON "berth_keys" ("tenant_id");
CREATE INDEX "berth_keys_created_at_id_idx" ON "berth_keys" ("created_at", "id");
CREATE INDEX "berth_pools_tenant_id_idx" ON "berth_pools" ("tenant_id");

-- A tenant is there from its first key, upload or installation until it is removed.
CREATE TABLE "berth_tenants" (
  "id" uuid NOT NULL,
  "removing_task_id" uuid,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_tenants_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "berth_tenants_created_at_id_idx" ON "berth_tenants" ("created_at", "id");
INSERT INTO "berth_tenants" ("id", "created_at")
SELECT known."tenant_id", min(known."created_at") FROM (
  SELECT "tenant_id", "created_at" FROM "berth_installations"
  UNION ALL SELECT "tenant_id", "created_at" FROM "berth_keys" WHERE "tenant_id" IS NOT NULL
  UNION ALL SELECT u."tenant_id", p."created_at" FROM "berth_package_uploaders" u
    JOIN "berth_packages" p ON p."identifier" = u."identifier"
) known GROUP BY known."tenant_id";

CREATE TABLE "berth_events" (
  "id" uuid NOT NULL,
  "kind" varchar(64) NOT NULL,
  "key_id" varchar(64) NOT NULL,
  "key_name" varchar(255) NOT NULL,
  "request_id" varchar(128) NOT NULL,
  "tenant_id" uuid,
  "installation_id" uuid,
  "task_id" uuid,
  "subject" varchar(300) NOT NULL,
  "result" varchar(16) NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_events_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "berth_events_created_at_id_idx" ON "berth_events" ("created_at", "id");
CREATE INDEX "berth_events_tenant_id_created_at_id_idx" ON "berth_events" ("tenant_id", "created_at", "id");
CREATE INDEX "berth_events_task_id_idx" ON "berth_events" ("task_id");
CREATE INDEX "berth_events_installation_id_created_at_id_idx" ON "berth_events" ("installation_id", "created_at", "id");

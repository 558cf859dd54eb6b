-- What is needed to know who needs an image, and to take one away while nobody can come to need it.
-- `uses` grows with each use: a removal names the number it has seen.
ALTER TABLE "berth_images" ADD COLUMN "identifier" varchar(255);
ALTER TABLE "berth_images" ADD COLUMN "base_key" varchar(128);
ALTER TABLE "berth_images" ADD COLUMN "uses" integer NOT NULL DEFAULT 0;
ALTER TABLE "berth_images" ADD COLUMN "last_used_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp();
CREATE INDEX "berth_images_identifier_idx" ON "berth_images" ("identifier");
CREATE INDEX "berth_images_base_key_idx" ON "berth_images" ("base_key");
UPDATE "berth_images" i SET "identifier" = p."identifier" FROM "berth_pools" p WHERE p."image_key" = i."key";

-- Uploaded by an operator: it is kept also when no tenant has it any more. Of earlier uploads nobody knows.
ALTER TABLE "berth_packages" ADD COLUMN "operator_kept" boolean NOT NULL DEFAULT true;

-- One holder at a time of whatever has a name, among all processes.
CREATE TABLE "berth_leases" (
  "name" varchar(300) NOT NULL,
  "holder" varchar(128) NOT NULL,
  "expires_at" timestamptz(6) NOT NULL,
  CONSTRAINT "berth_leases_pkey" PRIMARY KEY ("name")
);

-- What was asked of the worker that looks after the disk, and what it answered.
CREATE TABLE "berth_disk_runs" (
  "id" uuid NOT NULL,
  "kind" varchar(16) NOT NULL,
  "result" jsonb,
  "cause" jsonb,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "finished_at" timestamptz(6),
  CONSTRAINT "berth_disk_runs_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "berth_disk_runs_created_at_id_idx" ON "berth_disk_runs" ("created_at", "id");
CREATE INDEX "berth_disk_runs_unfinished_idx" ON "berth_disk_runs" ("created_at") WHERE "finished_at" IS NULL;

-- Finished tasks are found by their age.
CREATE INDEX "berth_tasks_finished_idx" ON "berth_tasks" ("finished_at") WHERE "finished_at" IS NOT NULL;

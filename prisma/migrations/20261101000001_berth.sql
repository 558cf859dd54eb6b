-- Berth's own truth, beside the daemon's tables. Every exclusion is a row with holder, attempt and lease expiry.

CREATE TABLE "berth_meta" (
  "key" varchar(64) NOT NULL,
  "value" text NOT NULL,
  CONSTRAINT "berth_meta_pkey" PRIMARY KEY ("key")
);

CREATE TABLE "berth_packages" (
  "identifier" varchar(255) NOT NULL,
  "plugin_id" varchar(255) NOT NULL,
  "author" varchar(255) NOT NULL,
  "name" varchar(255) NOT NULL,
  "version" varchar(255) NOT NULL,
  "checksum" varchar(64) NOT NULL,
  "bytes" bigint NOT NULL,
  "dialect" varchar(16) NOT NULL,
  "declaration" text NOT NULL,
  "providers" jsonb NOT NULL,
  "runner" jsonb NOT NULL,
  "limits_asked" jsonb NOT NULL,
  "warnings" jsonb NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_packages_pkey" PRIMARY KEY ("identifier")
);
CREATE INDEX "berth_packages_plugin_id_idx" ON "berth_packages" ("plugin_id");
CREATE INDEX "berth_packages_created_at_identifier_idx" ON "berth_packages" ("created_at", "identifier");

CREATE TABLE "berth_package_uploaders" (
  "identifier" varchar(255) NOT NULL,
  "tenant_id" uuid NOT NULL,
  CONSTRAINT "berth_package_uploaders_pkey" PRIMARY KEY ("identifier", "tenant_id")
);
CREATE INDEX "berth_package_uploaders_tenant_id_idx" ON "berth_package_uploaders" ("tenant_id");

CREATE TABLE "berth_installations" (
  "id" uuid NOT NULL,
  "tenant_id" uuid NOT NULL,
  "plugin_id" varchar(255) NOT NULL,
  "identifier" varchar(255) NOT NULL,
  "previous_identifier" varchar(255),
  "desired" varchar(16) NOT NULL,
  "state" varchar(16) NOT NULL,
  "cause" jsonb,
  "generation" integer NOT NULL DEFAULT 0,
  "limits_asked" jsonb NOT NULL,
  "limits_granted" jsonb NOT NULL,
  "pool_key" varchar(64),
  "source" varchar(63) NOT NULL,
  "meta" jsonb NOT NULL,
  "warnings" jsonb NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "updated_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_installations_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "berth_installations_tenant_id_plugin_id_key" ON "berth_installations" ("tenant_id", "plugin_id");
CREATE INDEX "berth_installations_created_at_id_idx" ON "berth_installations" ("created_at", "id");
CREATE INDEX "berth_installations_updated_at_idx" ON "berth_installations" ("updated_at");
CREATE INDEX "berth_installations_pool_key_idx" ON "berth_installations" ("pool_key");

-- What is gone, for processes that ask only for changes.
CREATE TABLE "berth_removed_installations" (
  "id" uuid NOT NULL,
  "removed_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_removed_installations_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "berth_removed_installations_removed_at_idx" ON "berth_removed_installations" ("removed_at");

CREATE TABLE "berth_tasks" (
  "id" uuid NOT NULL,
  "kind" varchar(16) NOT NULL,
  "tenant_id" uuid NOT NULL,
  "installation_id" uuid NOT NULL,
  "identifier" varchar(255) NOT NULL,
  "state" varchar(16) NOT NULL,
  "cause" jsonb,
  "attempt" integer NOT NULL DEFAULT 0,
  "holder" varchar(128),
  "lease_expires_at" timestamptz(6),
  "claimable_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "last_seq" integer NOT NULL DEFAULT 0,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "updated_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "finished_at" timestamptz(6),
  CONSTRAINT "berth_tasks_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "berth_tasks_tenant_id_created_at_id_idx" ON "berth_tasks" ("tenant_id", "created_at", "id");
CREATE INDEX "berth_tasks_installation_id_created_at_idx" ON "berth_tasks" ("installation_id", "created_at");
-- Only what is unfinished, so that a sweep costs the same however many tasks there have been.
CREATE INDEX "berth_tasks_unfinished_idx" ON "berth_tasks" ("claimable_at") WHERE "finished_at" IS NULL;

CREATE TABLE "berth_task_events" (
  "task_id" uuid NOT NULL,
  "seq" integer NOT NULL,
  "at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "data" jsonb NOT NULL,
  CONSTRAINT "berth_task_events_pkey" PRIMARY KEY ("task_id", "seq")
);

CREATE TABLE "berth_images" (
  "key" varchar(128) NOT NULL,
  "layer" varchar(16) NOT NULL,
  "state" varchar(16) NOT NULL,
  "image_ref" varchar(255),
  "bytes" bigint,
  "warnings" jsonb NOT NULL DEFAULT '[]',
  "attempt" integer NOT NULL DEFAULT 1,
  "holder" varchar(128),
  "lease_expires_at" timestamptz(6),
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_images_pkey" PRIMARY KEY ("key")
);

CREATE TABLE "berth_pools" (
  "key" varchar(64) NOT NULL,
  "tenant_id" uuid,
  "plugin_id" varchar(255) NOT NULL,
  "identifier" varchar(255) NOT NULL,
  "image_key" varchar(128) NOT NULL,
  "image_ref" varchar(255) NOT NULL,
  "runner" jsonb NOT NULL,
  "limits" jsonb NOT NULL,
  "uid_offset" serial NOT NULL,
  "wanted" boolean NOT NULL,
  "state" varchar(16) NOT NULL DEFAULT 'idle',
  "cause" jsonb,
  "next_start_at" timestamptz(6),
  "holder" varchar(128),
  "attempt" integer NOT NULL DEFAULT 0,
  "lease_expires_at" timestamptz(6),
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_pools_pkey" PRIMARY KEY ("key")
);
CREATE UNIQUE INDEX "berth_pools_uid_offset_key" ON "berth_pools" ("uid_offset");

CREATE TABLE "berth_runtimes" (
  "id" varchar(10) NOT NULL,
  "pool_key" varchar(64) NOT NULL,
  "slot" integer NOT NULL,
  "generation" integer NOT NULL,
  "container_name" varchar(255) NOT NULL,
  "container_id" varchar(255),
  "spec_hash" varchar(128) NOT NULL,
  "state" varchar(16) NOT NULL DEFAULT 'starting',
  "started_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "ready_at" timestamptz(6),
  "ended_at" timestamptz(6),
  "end" jsonb,
  CONSTRAINT "berth_runtimes_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "berth_runtimes_pool_key_generation_idx" ON "berth_runtimes" ("pool_key", "generation");
CREATE INDEX "berth_runtimes_state_idx" ON "berth_runtimes" ("state");

CREATE TABLE "berth_keys" (
  "id" uuid NOT NULL,
  "name" varchar(255) NOT NULL,
  "hint" varchar(64) NOT NULL,
  "hash" varchar(64) NOT NULL,
  "tenant_id" uuid,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "revoked_at" timestamptz(6),
  CONSTRAINT "berth_keys_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "berth_keys_hash_key" ON "berth_keys" ("hash");

CREATE TABLE "berth_idempotency" (
  "holder" varchar(128) NOT NULL,
  "key" varchar(255) NOT NULL,
  "request_hash" varchar(128) NOT NULL,
  "answer" jsonb,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_idempotency_pkey" PRIMARY KEY ("holder", "key")
);
CREATE INDEX "berth_idempotency_created_at_idx" ON "berth_idempotency" ("created_at");

-- Credentials of the providers of an installation's plugin, encrypted; they leave with the installation, also where the
-- release before removes it. `model` and `model_type` are empty where they are for all of the provider.
CREATE TABLE "berth_credentials" (
  "id" uuid NOT NULL,
  "installation_id" uuid NOT NULL REFERENCES "berth_installations" ("id") ON DELETE CASCADE,
  "tenant_id" uuid NOT NULL,
  "plugin_id" varchar(255) NOT NULL,
  "kind" varchar(16) NOT NULL,
  "provider" varchar(255) NOT NULL,
  "model" varchar(255) NOT NULL,
  "model_type" varchar(64) NOT NULL,
  "name" varchar(63) NOT NULL,
  "fields" jsonb NOT NULL,
  "sealed" text NOT NULL,
  "is_default" boolean NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "updated_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_credentials_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "berth_credentials_name_key"
  ON "berth_credentials" ("installation_id", "kind", "provider", "name");
CREATE INDEX "berth_credentials_tenant_id_created_at_id_idx"
  ON "berth_credentials" ("tenant_id", "created_at", "id");
-- At most one default of each provider, and of each model with credentials of its own.
CREATE UNIQUE INDEX "berth_credentials_default_key"
  ON "berth_credentials" ("installation_id", "kind", "provider", "model", "model_type") WHERE "is_default";

-- What the operator grants or refuses of the permissions that the plugin asks for; NULL: nothing is chosen.
ALTER TABLE "berth_installations" ADD COLUMN "permissions" jsonb;

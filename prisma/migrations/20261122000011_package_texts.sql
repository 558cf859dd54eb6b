-- Lists of plugins that were uploaded as one file. Texts, because jsonb does not take every character that JSON does.
CREATE TABLE "berth_bundles" (
  "identifier" varchar(255) NOT NULL,
  "author" varchar(255) NOT NULL,
  "name" varchar(255) NOT NULL,
  "version" varchar(255) NOT NULL,
  "checksum" varchar(64) NOT NULL,
  "bytes" bigint NOT NULL,
  "manifest" text NOT NULL,
  "dependencies" text NOT NULL,
  "warnings" text NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_bundles_pkey" PRIMARY KEY ("identifier")
);
CREATE INDEX "berth_bundles_created_at_identifier_idx" ON "berth_bundles" ("created_at", "identifier");

CREATE TABLE "berth_bundle_uploaders" (
  "identifier" varchar(255) NOT NULL,
  "tenant_id" uuid NOT NULL,
  CONSTRAINT "berth_bundle_uploaders_pkey" PRIMARY KEY ("identifier", "tenant_id")
);
CREATE INDEX "berth_bundle_uploaders_tenant_id_idx" ON "berth_bundle_uploaders" ("tenant_id");

-- Which packages came with a bundle: they are needed as long as it is here.
CREATE TABLE "berth_bundle_packages" (
  "bundle" varchar(255) NOT NULL,
  "identifier" varchar(255) NOT NULL,
  CONSTRAINT "berth_bundle_packages_pkey" PRIMARY KEY ("bundle", "identifier")
);
CREATE INDEX "berth_bundle_packages_identifier_idx" ON "berth_bundle_packages" ("identifier");

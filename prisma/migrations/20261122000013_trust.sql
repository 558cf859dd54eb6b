-- What was decided about the package of an installation, and about the one before, in the words of the domain.
ALTER TABLE "berth_installations" ADD COLUMN "trust" jsonb;
ALTER TABLE "berth_installations" ADD COLUMN "previous_trust" jsonb;

-- Public keys whose signatures count; the id is the SHA-256 of the key itself.
CREATE TABLE "berth_trusted_keys" (
  "id" varchar(64) NOT NULL,
  "name" varchar(255) NOT NULL,
  "pem" text NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_trusted_keys_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "berth_trusted_keys_created_at_id_idx" ON "berth_trusted_keys" ("created_at", "id");

-- Signatures that verified over the contents of a package when they came. `entries` holds the paths in the order that was
-- signed: a checksum knows no order, and another archive of the same contents may have another one.
CREATE TABLE "berth_signatures" (
  "identifier" varchar(255) NOT NULL,
  "digest" varchar(64) NOT NULL,
  "key_id" varchar(64) NOT NULL,
  "category" varchar(16),
  "signed_time" bigint NOT NULL,
  "signature" text NOT NULL,
  "entries" jsonb NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_signatures_pkey" PRIMARY KEY ("identifier", "digest")
);
CREATE INDEX "berth_signatures_key_id_idx" ON "berth_signatures" ("key_id");

-- The policy of a tenant; without a row, the instance's.
CREATE TABLE "berth_signature_policies" (
  "tenant_id" uuid NOT NULL,
  "policy" varchar(16) NOT NULL,
  "updated_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_signature_policies_pkey" PRIMARY KEY ("tenant_id")
);

-- Contents that the operator lets in unsigned, by the checksum in their package's identifier.
CREATE TABLE "berth_admissions" (
  "checksum" varchar(64) NOT NULL,
  "note" varchar(500) NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT "berth_admissions_pkey" PRIMARY KEY ("checksum")
);
CREATE INDEX "berth_admissions_created_at_checksum_idx" ON "berth_admissions" ("created_at", "checksum");

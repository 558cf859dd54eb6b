-- Small files of the plugin of one installation: content in base64, or encrypted where they are secrets.
CREATE TABLE "berth_plugin_files" (
    "id" uuid PRIMARY KEY,
    "installation_id" uuid NOT NULL,
    "name" varchar(128) NOT NULL,
    "bytes" integer NOT NULL,
    -- NULL: a secret.
    "sha256" varchar(64),
    "content" text NOT NULL,
    "changed_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
    UNIQUE ("installation_id", "name")
);
-- Another text after each change; NULL: none. A pool's is that of the installation that it serves.
ALTER TABLE "berth_installations" ADD COLUMN "files_version" varchar(16);
ALTER TABLE "berth_pools" ADD COLUMN "files_version" varchar(16);

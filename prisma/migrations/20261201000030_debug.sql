-- The key with which authors connect plugins of a tenant, and the plugins that are connected now.
CREATE TABLE "berth_debugging_keys" (
  "tenant_id" uuid PRIMARY KEY,
  -- SHA-256 of the key, in hex; beside it the key itself, encrypted, because a tenant is told the same key again
  "hash" varchar(64) NOT NULL UNIQUE,
  "sealed" text NOT NULL,
  "expires_at" timestamptz(6) NOT NULL
);

-- One row for each plugin that is connected, written with its installation and its runtime, and removed with them.
CREATE TABLE "berth_debug_connections" (
  "runtime_id" varchar(10) PRIMARY KEY,
  -- the process that has the connection: its rows are removed when it is dead
  "process_id" varchar(32) NOT NULL,
  "tenant_id" uuid NOT NULL,
  "installation_id" uuid NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX "berth_debug_connections_installation_id_idx" ON "berth_debug_connections" ("installation_id");

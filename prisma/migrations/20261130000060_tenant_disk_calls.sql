-- What a Tenant may have at most beside Installations and memory; NULL: what the operator's settings say for all.
ALTER TABLE "berth_tenants" ADD COLUMN "disk_bytes_max" bigint;
ALTER TABLE "berth_tenants" ADD COLUMN "calls_max" integer;

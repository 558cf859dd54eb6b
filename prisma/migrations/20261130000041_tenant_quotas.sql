-- What a Tenant may have at most; NULL: as much as it likes.
ALTER TABLE "berth_tenants" ADD COLUMN "installations_max" integer;
ALTER TABLE "berth_tenants" ADD COLUMN "memory_bytes_max" bigint;

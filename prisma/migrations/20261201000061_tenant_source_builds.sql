-- `allow` or `refuse`; NULL: the operator's setting.
ALTER TABLE "berth_tenants" ADD COLUMN "source_builds" varchar(8);

-- What a Tenant chose for the network of one Installation; NULL: the operator's default.
ALTER TABLE "berth_installations" ADD COLUMN "egress" jsonb;

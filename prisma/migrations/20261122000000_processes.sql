-- Who is alive: every process of Berth keeps one row, and one whose time has run out is dead.
CREATE TABLE "berth_processes" (
  "id" varchar(32) NOT NULL,
  "role" varchar(16) NOT NULL,
  "host" varchar(255) NOT NULL,
  "pid" integer NOT NULL,
  "started_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "expires_at" timestamptz(6) NOT NULL,
  CONSTRAINT "berth_processes_pkey" PRIMARY KEY ("id")
);

-- What a worker asks of the worker that holds a pool's lease. A start is asked for by counting up, and answered by
-- writing the number, so that the request outlives whoever holds the lease.
ALTER TABLE "berth_pools" ADD COLUMN "start_asked" integer NOT NULL DEFAULT 0;
ALTER TABLE "berth_pools" ADD COLUMN "start_answered" integer NOT NULL DEFAULT 0;
ALTER TABLE "berth_pools" ADD COLUMN "start_fault" jsonb;
ALTER TABLE "berth_pools" ADD COLUMN "removal_asked" boolean NOT NULL DEFAULT false;

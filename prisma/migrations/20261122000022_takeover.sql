-- What an earlier daemon installed and Berth has taken over: in which order it is made ready, and how far it is.
CREATE TABLE "berth_takeovers" (
  "installation_id" uuid NOT NULL,
  "task_id" uuid NOT NULL,
  "identifier" varchar(255) NOT NULL,
  "created_at" timestamptz(6) NOT NULL DEFAULT clock_timestamp(),
  "read_at" timestamptz(6),
  "needed_at" timestamptz(6),
  "released_at" timestamptz(6),
  CONSTRAINT "berth_takeovers_pkey" PRIMARY KEY ("installation_id")
);
CREATE INDEX "berth_takeovers_identifier_idx" ON "berth_takeovers" ("identifier");
CREATE INDEX "berth_takeovers_task_id_idx" ON "berth_takeovers" ("task_id");

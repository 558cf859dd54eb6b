-- The memory that a Runtime may take of its host. Unknown of those that are older: what their Pool is granted counts.
ALTER TABLE "berth_runtimes" ADD COLUMN "memory_bytes" bigint;

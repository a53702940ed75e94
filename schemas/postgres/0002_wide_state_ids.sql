-- State ids up to 2^32-1: some states are HRESULTs, and some senders write them without a sign.
--
-- Locks state_message and current_state against everybody (ACCESS EXCLUSIVE) while both are
-- written anew with their indexes. Loaders that run wait, and go on afterwards.
--
-- 20,000,000 messages in eight partitions (4.5 GB, index 1.3 GB) take 62 s of CPU, 4,000,000 current
-- states (0.8 GB, index 0.3 GB) 10 s; PostgreSQL 15.18, two cores. On a machine that was busy with
-- other work (load 10) that was 247 s by the clock. It needs room for a second copy of both tables
-- and for as much write-ahead log (6.6 GB).
ALTER TABLE state_message ALTER COLUMN state_id TYPE bigint;
ALTER TABLE current_state ALTER COLUMN state_id TYPE bigint;
ALTER TABLE topic_state ALTER COLUMN state_id TYPE bigint;

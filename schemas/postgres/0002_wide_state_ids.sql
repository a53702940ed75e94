-- State ids up to 2^32-1: some states are HRESULTs, and some senders write them without a sign.
--
-- Locks state_message and current_state against everybody (ACCESS EXCLUSIVE) while both are
-- written anew with their indexes. Loaders that run wait, and go on afterwards.
ALTER TABLE state_message ALTER COLUMN state_id TYPE bigint;
ALTER TABLE current_state ALTER COLUMN state_id TYPE bigint;
ALTER TABLE topic_state ALTER COLUMN state_id TYPE bigint;

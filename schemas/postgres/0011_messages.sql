-- The messages that were loaded within a time, without reading the others.
--
-- Locks state_message with all its partitions against writers (SHARE) while each partition is read
-- once: 11 s with 20,000,000 messages in eight partitions (5.0 GB; the index has 0.5 MB), by the clock
-- of two cores with load 7; PostgreSQL 15. Loaders that run wait, and go on afterwards.

-- Rows are appended, so a range of pages has the messages of some seconds: the index keeps the first
-- and last moment of each MiB, a few KiB for a day. Loading adds to it only where a range is
-- summarized already, which autovacuum does once the range is full. Partitions of coming days get
-- the same index when they are attached.
CREATE INDEX state_message_loaded ON state_message USING brin (loaded_at) WITH (autosummarize = on);

"""From batches to PostgreSQL: chunks, missing ranges, resync requests, partitions."""

"""The loader: loads batches into PostgreSQL; keeps missing ranges, resyncs and partitions."""

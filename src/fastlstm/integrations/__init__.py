"""Outside systems, one per file: engines, databases and search indexes."""

"""Score tables: read rows from a source, predict their texts, write rows to a sink, and resume after a failure."""

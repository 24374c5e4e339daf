"""What differs between two descriptions of a pipeline, for those who call it and inside."""

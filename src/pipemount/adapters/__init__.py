"""The seam between the service and anything that can be run as a pipeline."""

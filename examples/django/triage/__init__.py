"""The pipeline that moved into the desk: it sorts tickets and suggests replies."""

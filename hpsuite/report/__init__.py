"""Writing what was found: progress, tables, files, and the views for MLflow."""

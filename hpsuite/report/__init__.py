"""Writing what was found: progress, tables, files, reports with pictures, views for MLflow."""

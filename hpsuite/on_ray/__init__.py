"""Batches as tasks of a Ray cluster. Nothing else of hpsuite knows Ray, which is imported late."""

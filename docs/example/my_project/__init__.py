"""A project of one's own: a data set, a model and a search strategy for hpsuite."""

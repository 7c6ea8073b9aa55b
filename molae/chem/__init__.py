"""Molecules: the only room that speaks to RDKit."""

"""Data cards, the demo set and trained weights; read them through ``molae.resources``."""

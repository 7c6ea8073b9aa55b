"""Molecule files in and out, data cards and downloads, splits, memory-mapped arrays."""

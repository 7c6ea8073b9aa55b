"""Campaigns: what proposes texts, what scores them, and the folder that remembers all of it."""

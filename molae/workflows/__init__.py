"""What the commands do, as functions that print nothing."""

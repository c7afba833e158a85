"""Testing running systems: targets, budgets, transcripts."""

"""The rules of reporting: pure functions from dated facts to verdicts and counts."""

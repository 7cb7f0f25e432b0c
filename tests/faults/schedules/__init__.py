"""The whole system, broken by a schedule that a seed draws, while clients work; see docs/explanation/faults.md."""

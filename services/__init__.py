"""The four services of the cooperative office."""

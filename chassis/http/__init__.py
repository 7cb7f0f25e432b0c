"""The HTTP application every service is: problems, idempotency, versions, positions, health."""

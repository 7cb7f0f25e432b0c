"""The demonstration regency: invented cooperatives, their histories, and what loading them has to come to."""

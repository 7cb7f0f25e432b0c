"""The roles of interface section 8, as routes name them."""

OFFICER = "officer"
MENTOR = "mentor"
HEAD = "head"
CAMAT = "camat"
AGENCY = "agency"
OPERATOR = "operator"

OFFICE = (OFFICER, HEAD)
MENTORING = (OFFICER, MENTOR, HEAD)
READERS = (OFFICER, MENTOR, HEAD, CAMAT, AGENCY)
EVERY = (OFFICER, MENTOR, HEAD, CAMAT, AGENCY, OPERATOR)

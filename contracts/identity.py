"""When two writings name the same cooperative."""


def legal_entity_key(number: str) -> str:
    """Return the form in which legal entity numbers are compared: upper case, without blanks."""
    return "".join(number.split()).upper()

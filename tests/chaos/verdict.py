"""What a campaign ends with where a promise was broken."""


class VerdictError(AssertionError):
    """A promise was broken."""

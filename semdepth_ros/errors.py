"""The base of every error that a user can cause."""


class SemdepthError(Exception):
    """Bad input, named in one sentence: the thing, its value and what was expected.

    Modules derive their own class from it. The command line prints the sentence and exits with 2,
    the node logs it and goes on; neither shows a traceback.
    """

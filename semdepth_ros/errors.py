"""The base of every error that a user can cause."""


class SemdepthError(Exception):
    """Bad input, named in one sentence: the thing, its value and what was expected.

    Modules derive their own class from it. The command line prints the sentence and exits with 2,
    the node logs it and goes on; neither shows a traceback.
    """

    def __str__(self) -> str:
        """Return the sentence on one line, whatever names in a hostile file it quotes.

        What cannot be printed (line ends, terminal escapes, lone surrogates) is escaped.
        """
        return ''.join(
            c if c.isprintable() else c.encode('unicode_escape').decode('ascii')
            for c in super().__str__()
        )

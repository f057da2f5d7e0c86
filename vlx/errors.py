"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A mistake in a configuration, a data set or a command; `train.py` exits with code 2.

    The message names the thing, the place and the remedy in one or two sentences.
    """

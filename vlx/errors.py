"""The one exception that means: the user can mend this; and how commands end."""

DONE, USER_ERROR, INTERRUPTED = 0, 2, 75  # exit codes; 1 is a defect


class UserError(Exception):
    """A mistake in a configuration, a data set or a command; `train.py` exits with code 2.

    The message names the thing, the place and the remedy in one or two sentences.
    """

"""What can go wrong with the local set-up, said in words for the person at the terminal."""


class LocalSetupFailed(Exception):
    """The embedded services cannot do what was asked; the message says why and what helps."""

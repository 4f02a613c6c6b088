"""Whether code that a signal interrupts is inside an import."""

from types import FrameType

_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"


def is_importing(frame: FrameType | None) -> bool:
    """Whether a frame, as a signal handler gets it, was called by an import.

    A handler must not raise there: libraries that import with `try` and a bare `except`, or from
    C, catch the exception or print it as a traceback.
    """
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False

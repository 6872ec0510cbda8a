"""Every error that minicnn raises on purpose: one sentence with what was given, what was expected and what to do."""
import difflib


class MinicnnError(Exception):
    """The base of all errors of this package."""


class ShapeError(MinicnnError, ValueError):
    """Arrays whose shapes do not fit together, or a setting that does not fit a shape."""


class DtypeError(MinicnnError, TypeError):
    """An array of a type that the engine does not compute with."""


class SettingError(MinicnnError, ValueError):
    """A setting outside the values that make sense."""


class TapeError(MinicnnError, RuntimeError):
    """A backward pass that cannot be run."""


class BackendError(MinicnnError, RuntimeError):
    """A backend that is unknown or not to be had here."""


class UnknownNameError(MinicnnError, LookupError):
    """A layer, network, lecture or class of a name that does not exist; the message offers the nearest names."""


class TrainingError(MinicnnError, ArithmeticError):
    """Training that cannot go on: a loss that is no number."""


class WeightsError(MinicnnError, ValueError):
    """A weights file that is missing, broken or meant for something else."""


class DataError(MinicnnError, ValueError):
    """A file of a data set that is missing, broken or not what its name says."""


class HomeworkError(MinicnnError, ValueError):
    """An assignment that cannot be made or graded."""


class ImageError(MinicnnError, ValueError):
    """A picture that cannot be read or is too large."""


def unknown_name(kind, name, known):
    """Return the UnknownNameError that says what `kind` of thing `name` is not, and which known names come nearest."""
    known = [str(k) for k in known]
    near = difflib.get_close_matches(str(name), known, n=4, cutoff=0.4)
    if near:
        hint = "did you mean " + " or ".join(repr(n) for n in near) + "?"
    else:
        hint = "known: " + ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return UnknownNameError(f"there is no {kind} named {name!r}; {hint}")

"""The marks that say that a picture was generated, and the detector that finds them."""

from .marker import Marker, marker_for
from .statement import statement_of
from .verify import found_marks

__all__ = ["Marker", "found_marks", "marker_for", "statement_of"]

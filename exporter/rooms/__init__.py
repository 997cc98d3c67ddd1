"""
Which rooms are watched, and where that list comes from.
"""

from exporter.rooms.files import FileState, RoomsFiles
from exporter.rooms.formats import RoomsFileError, read_rooms_file

__all__ = ["FileState", "RoomsFileError", "RoomsFiles", "read_rooms_file"]

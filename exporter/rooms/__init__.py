"""
The watched rooms of each source, and the files that list them.
"""

from exporter.rooms.files import FileState, RoomsFiles
from exporter.rooms.formats import RoomsFileError, read_rooms_file
from exporter.rooms.roster import Roster, Turnover
from exporter.rooms.scans import Scans

__all__ = ["FileState", "RoomsFileError", "RoomsFiles", "Roster", "Scans", "Turnover", "read_rooms_file"]

"""
The watched rooms of each source, and the files that list them.
"""

from exporter.rooms.files import FileState, RoomsFiles
from exporter.rooms.formats import RoomsFileError, read_rooms_file
from exporter.rooms.scans import Scans
from exporter.rooms.watchlist import Turnover, Watchlist

__all__ = ["FileState", "RoomsFileError", "RoomsFiles", "Scans", "Turnover", "Watchlist", "read_rooms_file"]

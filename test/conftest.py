"""Puts this folder, with the helpers that tests share, on the path of the rooms below it."""

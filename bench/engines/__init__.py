"""Engines: all take runs, all give records."""

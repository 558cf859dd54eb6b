"""The code of this package is in main.py; the host only needs the file to be here."""

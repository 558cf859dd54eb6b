"""Runs, but never says its first heartbeat."""

import time

while True:
    time.sleep(3600)

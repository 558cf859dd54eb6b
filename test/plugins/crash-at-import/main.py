"""Fails before its first heartbeat, the way a package with a missing dependency does."""

import a_module_that_nobody_ships  # noqa: F401

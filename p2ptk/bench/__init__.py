"""How fast p2ptk trains on this machine, beside the plain loop that everybody writes first."""

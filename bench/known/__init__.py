"""Known values, measured again on this machine."""

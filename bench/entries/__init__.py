"""What the TOML files of the registry say: validated once, here, then frozen."""

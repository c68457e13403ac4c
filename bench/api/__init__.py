"""The Python calls of the verbs. Nothing heavy is imported before one of them is used."""

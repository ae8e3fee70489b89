"""Settings as frozen dataclasses, the YAML files that ship, and the errors: the lowest layer."""

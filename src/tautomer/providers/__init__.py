"""Dependencies of services: class attributes that give each call what it works with (entrypoints reference, section 8)."""

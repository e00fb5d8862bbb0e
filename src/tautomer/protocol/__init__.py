"""The Moleculer protocol as plain objects: packets, topics, who is there, who waits for an answer."""

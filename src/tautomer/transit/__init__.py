"""The traffic of one node with the others: who is there, what is asked of them, what they ask, streams both ways."""

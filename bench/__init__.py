"""The benchmark: tautomer beside its peers, interleaved, in CPU-µs per operation. See README.md."""

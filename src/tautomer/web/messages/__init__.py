"""Request and Reply, and what is decoded of them."""

"""What a person wrote of a gateway, checked whole."""

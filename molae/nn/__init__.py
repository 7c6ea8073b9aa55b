"""Back-bones: encoders, heads and decoders; none of them knows of a loss."""

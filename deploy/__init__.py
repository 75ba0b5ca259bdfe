"""What an operator rolls the service out with, and the proofs that it is what it should be."""

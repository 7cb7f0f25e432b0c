"""What an operator sees of one service, and does to it."""

"""What a student's code cannot do, and what proves it on this machine."""

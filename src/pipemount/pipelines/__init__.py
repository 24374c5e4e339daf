"""What an author writes, and what it compiles to. No I/O, no event loop, no clock."""

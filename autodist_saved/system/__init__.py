"""The operating system and its parts: memory, signals, paths, priorities, time limits, terminals, its errors."""

"""Will this flight arrive late? A parameter-server job on 327,346 real flights; see README.md."""

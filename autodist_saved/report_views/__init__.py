"""A page about a model, in one file that needs nothing else: for people, mails and tickets."""

"""Full verification: checks whether a model, loaded in a fresh process, answers as the job from which it comes."""

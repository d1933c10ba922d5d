from cosched.schedules import cyclical, phases, shapes  # the shapes register themselves

__all__ = ["cyclical", "phases", "shapes"]

from cosched.schedules import annealing, phases, shapes  # the shapes register themselves

__all__ = ["annealing", "phases", "shapes"]

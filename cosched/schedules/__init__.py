from cosched.schedules import annealing, combined, phases, shapes  # the shapes register themselves

__all__ = ["annealing", "combined", "phases", "shapes"]

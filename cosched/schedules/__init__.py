from cosched.schedules import annealing, combined, phases, shapes, stages  # the shapes register themselves

__all__ = ["annealing", "combined", "phases", "shapes", "stages"]
